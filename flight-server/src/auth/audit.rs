//! The audit log: one line a decision, at the target `flightcache::audit`, none without `[auth]`.

use std::fmt;

use tracing::info;
use url::Url;

/// Longest text of a request that a line repeats, in characters.
const MAX_SHOWN: usize = 128;

/// Says whether `principal` was allowed to do what it called for with `dataset`, a name or a URL;
/// an empty one where the decision was about none.
pub(super) fn decided(
    principal: &str,
    call: &'static str,
    dataset: &str,
    allowed: bool,
    reason: &'static str,
) {
    let dataset = Shown(dataset);
    info!(target: "flightcache::audit", principal, call, %dataset, allowed, reason, "decided");
}

/// Says that `principal` was told of that many datasets, which it may read.
pub(super) fn listed(principal: &str, call: &'static str, datasets: usize) {
    let (allowed, reason) = (true, "a rule allows them");
    info!(target: "flightcache::audit", principal, call, datasets, allowed, reason, "decided");
}

/// Says that a call was refused whose caller is not known.
pub(super) fn refused(call: &'static str, reason: &'static str) {
    info!(target: "flightcache::audit", call, allowed = false, reason, "decided");
}

/// A dataset's name or URL as a log may show it: short, on one line, without a credential.
struct Shown<'a>(&'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bare = Url::parse(self.0).ok().map(|mut url| {
            // A query and a password may be credentials; the name in abfss:// is a container.
            url.set_query(None);
            url.set_fragment(None);
            let _ = url.set_password(None);
            url.to_string()
        });
        let text =
            bare.as_deref().unwrap_or_else(|| self.0.split(['?', '#']).next().unwrap_or_default());
        for (index, char) in text.chars().enumerate() {
            if index == MAX_SHOWN {
                return f.write_str("...");
            }
            write!(f, "{}", char.escape_debug())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn audit_lines_hold_no_credential_and_no_line_break() {
        for (text, shown) in [
            ("lineitem", "lineitem"),
            ("a\nb", "a\\nb"),
            ("az://c/d?sig=s3cr3t", "az://c/d"),
            ("http://me:s3cr3t@h/d#s3cr3t", "http://me@h/d"),
            ("no url?sig=s3cr3t", "no url"),
        ] {
            assert_eq!(Shown(text).to_string(), shown);
        }
        assert!(Shown(&"x".repeat(1 << 20)).to_string().len() < 200);
    }
}
