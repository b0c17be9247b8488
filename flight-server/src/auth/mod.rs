//! Who calls, and what it may do.
//!
//! ```text
//!  request ─► AuthLayer ─► Auth: bearer token (file, then issuer), else client certificate
//!                │                        └─► principal, or one generic UNAUTHENTICATED
//!                └─► Caller {principal, rules} in the request's extensions
//!  service ─► Datasets::resolve(caller, command) ─► rules ─► an audit line, then the data
//! ```
//!
//! Every call is authenticated before its body is read, and authorised where its dataset is looked
//! up; a handler that finds no [`Caller`] fails. Nothing is remembered between calls.

mod audit;
mod caller;
mod certificate;
mod jwks;
mod jwt;
mod keys;
mod layer;
mod oidc;
mod remote;
mod rules;
mod ticket;
mod tokens;
mod watched;

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use flightcache_cache::{Error, Result};

pub use caller::Caller;
pub use layer::AuthLayer;
pub use rules::{Pattern, Rule};
pub(crate) use ticket::ticket_keys;
pub use watched::{Watched, WatchedFile};

use crate::config::AuthConfig;
use oidc::Oidc;
use rules::Rules;
use tokens::{Digest, Tokens};

/// Longest name of a principal, in bytes.
const MAX_PRINCIPAL_BYTES: usize = 256;

/// Longest bearer token that is looked at, in bytes.
const MAX_TOKEN_BYTES: usize = 16 << 10;

/// How callers are told apart, and what each may do.
#[derive(Debug)]
pub struct Auth {
    tokens: Option<Arc<Watched<Tokens>>>,
    oidc: Option<Oidc>,
    rules: Rules,
}

/// Why a caller is not known: for the audit line alone, callers are told one thing for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    /// There are no credentials, or they are not good.
    Credentials(&'static str),
    /// The issuer's keys are not known at the moment, so that nothing can be said.
    KeysUnavailable,
}

impl Refusal {
    fn reason(self) -> &'static str {
        match self {
            Self::Credentials(reason) => reason,
            Self::KeysUnavailable => "the issuer's keys are not available",
        }
    }

    fn error(self) -> Error {
        match self {
            Self::Credentials(_) => Error::unauthenticated(
                "no valid credentials: send a bearer token or a client certificate that this \
                 server accepts",
            ),
            Self::KeysUnavailable => {
                Error::unavailable("credentials cannot be checked at the moment: try again later")
            }
        }
    }
}

/// A principal, and what keeps its proof good.
#[derive(Clone, Debug)]
struct Identity {
    principal: Arc<str>,
    proof: Proof,
}

/// What must hold for a caller to be who it is for longer than a moment; no secret.
#[derive(Clone, Copy, Debug)]
enum Proof {
    /// It stays in force until its connection ends.
    Certificate,
    /// The token file names the principal for this digest.
    Token(Digest),
    /// It is no later than this, in seconds since the Unix epoch.
    Until(f64),
}

/// The credentials of a request.
#[derive(Clone, Copy, Default)]
struct Presented<'a> {
    bearer: Option<&'a str>,
    /// The principal of the connection's client certificate.
    certificate: Option<&'a str>,
}

impl Auth {
    /// What `config` describes; follows its files and its issuer's keys from then on.
    ///
    /// # Errors
    /// `Invalid` naming a file that cannot be read or what is wrong in it.
    ///
    /// # Panics
    /// Outside a runtime.
    pub fn start(config: &AuthConfig) -> Result<Self> {
        let tokens = config.token_file.as_ref().map(|path| {
            let tokens = Arc::new(Watched::open("token_file", path, Tokens::parse)?);
            tokens.follow();
            Ok(tokens)
        });
        Ok(Self {
            tokens: tokens.transpose()?,
            oidc: config.oidc.as_ref().map(Oidc::start).transpose()?,
            rules: Rules::start(config)?,
        })
    }

    /// The principal that the credentials prove; a token that is no good is never made up for by a
    /// certificate.
    async fn identify(&self, presented: Presented<'_>) -> std::result::Result<Identity, Refusal> {
        let Some(token) = presented.bearer else {
            let named = presented.certificate.and_then(principal);
            let principal = named.ok_or(Refusal::Credentials("no credentials"))?;
            return Ok(Identity { principal, proof: Proof::Certificate });
        };
        if token.len() > MAX_TOKEN_BYTES {
            return Err(Refusal::Credentials("token too long"));
        }
        let found = self.tokens.as_ref().and_then(|tokens| tokens.get().find(token));
        if let Some((principal, digest)) = found {
            return Ok(Identity { principal, proof: Proof::Token(digest) });
        }
        match &self.oidc {
            Some(oidc) => oidc.identify(token).await,
            None => Err(Refusal::Credentials("unknown token")),
        }
    }

    /// Why the proof of a caller that was identified before is no good any more.
    fn withdrawn(&self, identity: &Identity, now_s: f64) -> Option<&'static str> {
        match identity.proof {
            Proof::Certificate => None,
            Proof::Token(digest) => {
                let tokens = self.tokens.as_ref().map(|tokens| tokens.get());
                let named = tokens.and_then(|tokens| tokens.named(digest));
                (named != Some(Arc::clone(&identity.principal))).then_some("token withdrawn")
            }
            Proof::Until(end_s) => (end_s <= now_s).then_some("expired"),
        }
    }
}

/// Seconds since the Unix epoch.
fn now_s() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs_f64()
}

/// `name` if it can stand in a rule, a ticket and a log line.
fn principal(name: &str) -> Option<Arc<str>> {
    let fits = !name.is_empty() && name.len() <= MAX_PRINCIPAL_BYTES;
    (fits && !name.contains(char::is_control)).then(|| Arc::from(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auth(folder: &std::path::Path) -> Auth {
        let path = folder.join("tokens");
        std::fs::write(&path, "spark-1 0123456789abcdef\n").unwrap();
        let tokens = Arc::new(Watched::open("token_file", &path, Tokens::parse).unwrap());
        Auth { tokens: Some(tokens), oidc: None, rules: Rules::default() }
    }

    #[tokio::test]
    async fn a_bad_token_is_not_made_up_for_by_a_certificate() {
        let folder = tempfile::tempdir().unwrap();
        let auth = auth(folder.path());
        let identify = async |bearer, certificate| {
            let found = auth.identify(Presented { bearer, certificate }).await;
            found.map(|found| found.principal)
        };
        let good = Some("0123456789abcdef");
        assert_eq!(identify(good, None).await.as_deref(), Ok("spark-1"));
        assert_eq!(identify(good, Some("node-7")).await.as_deref(), Ok("spark-1"));
        assert_eq!(identify(None, Some("node-7")).await.as_deref(), Ok("node-7"));
        let long = "x".repeat(MAX_TOKEN_BYTES + 1);
        for bad in ["", "x", "0123456789abcde", long.as_str()] {
            assert!(identify(Some(bad), Some("node-7")).await.is_err());
        }
        assert!(identify(None, None).await.is_err());
        assert!(identify(None, Some("a\nb")).await.is_err());
    }

    #[test]
    fn callers_are_told_one_thing_for_all() {
        let said = |reason| Refusal::Credentials(reason).error().message().to_owned();
        assert_eq!(said("no credentials"), said("expired"));
    }

    #[tokio::test]
    async fn a_proof_is_good_for_as_long_as_what_it_rests_on() {
        let folder = tempfile::tempdir().unwrap();
        let auth = auth(folder.path());
        let bearer = Some("0123456789abcdef");
        let by_token = auth.identify(Presented { bearer, certificate: None }).await.unwrap();
        let rewrite = |text: &str| {
            std::fs::write(folder.path().join("tokens"), text).unwrap();
            auth.tokens.as_ref().unwrap().look();
            auth.withdrawn(&by_token, 0.0)
        };
        assert_eq!(rewrite("other fedcba9876543210\nspark-1 0123456789abcdef\n"), None);
        assert_eq!(rewrite("spark-2 0123456789abcdef\n"), Some("token withdrawn"));
        assert_eq!(rewrite("spark-1 fedcba9876543210\n"), Some("token withdrawn"));
        let until = Identity { proof: Proof::Until(100.0), ..by_token };
        assert_eq!(auth.withdrawn(&until, 99.9), None);
        assert_eq!(auth.withdrawn(&until, 100.0), Some("expired"));
        let certified = Identity { proof: Proof::Certificate, ..until };
        assert_eq!(auth.withdrawn(&certified, f64::MAX), None);
    }
}
