//! Rules: which principal may read which datasets, and act on them.

use std::{fmt, sync::Arc};

use flightcache_cache::{Error, Result};

use super::Watched;
use crate::config::AuthConfig;

/// Longest pattern, in bytes.
const MAX_PATTERN_BYTES: usize = 512;

/// One `[[auth.rule]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Whom it is for.
    pub principal: Pattern,
    /// What they may read: names of datasets, and entries of `allow_urls`.
    pub datasets: Vec<Pattern>,
    /// Whether they may also warm, refresh and evict these, and see the node's figures.
    pub actions: bool,
}

/// A name in which each `*` stands for any text, none included.
#[derive(Clone, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// Says how one is written.
    pub fn parse(text: &str) -> std::result::Result<Self, String> {
        if text.is_empty() || text.len() > MAX_PATTERN_BYTES || text.contains(char::is_control) {
            return Err("not a pattern; write a name, in which * stands for any text".to_owned());
        }
        Ok(Self(text.to_owned()))
    }

    /// Whether `name` is one of those meant; upper and lower case differ.
    pub fn matches(&self, name: &str) -> bool {
        let Some((start, rest)) = self.0.split_once('*') else { return self.0 == name };
        let Some(mut name) = name.strip_prefix(start) else { return false };
        let mut parts = rest.split('*');
        let end = parts.next_back().unwrap_or_default();
        // The first place is as good as any: what comes after only needs room.
        for part in parts {
            let Some((_, after)) = name.split_once(part) else { return false };
            name = after;
        }
        name.ends_with(end)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// All rules of a node; what none allows is refused.
#[derive(Debug, Default)]
pub(super) struct Rules {
    configured: Vec<Rule>,
    /// Those of `rule_file`, as they are now.
    file: Option<Arc<Watched<Vec<Rule>>>>,
}

impl Rules {
    /// Rules that never change.
    #[cfg(test)]
    pub(super) fn new(configured: Vec<Rule>) -> Self {
        Self { configured, file: None }
    }

    /// The rules of `config`; follows its file of rules from then on.
    ///
    /// # Errors
    /// `Invalid` naming the file and what is wrong with it.
    pub(super) fn start(config: &AuthConfig) -> Result<Self> {
        let file = config.rule_file.as_ref().map(|path| {
            let rules = Arc::new(Watched::open("rule_file", path, parse)?);
            rules.follow();
            Ok(rules)
        });
        Ok(Self { configured: config.rules.clone(), file: file.transpose()? })
    }

    /// Whether `principal` may read `dataset`.
    pub(super) fn may_read(&self, principal: &str, dataset: &str) -> bool {
        self.any_of(principal, |rule| rule.covers(dataset))
    }

    /// Whether `principal` may act on `dataset`.
    pub(super) fn may_act(&self, principal: &str, dataset: &str) -> bool {
        self.any_of(principal, |rule| rule.actions && rule.covers(dataset))
    }

    /// Whether `principal` may see the figures of the node.
    pub(super) fn may_watch(&self, principal: &str) -> bool {
        self.any_of(principal, |rule| rule.actions)
    }

    fn any_of(&self, principal: &str, allows: impl Fn(&Rule) -> bool) -> bool {
        let any = |rules: &[Rule]| {
            rules.iter().any(|rule| rule.principal.matches(principal) && allows(rule))
        };
        any(&self.configured) || self.file.as_ref().is_some_and(|file| any(&file.get()))
    }
}

fn parse(file: &[u8]) -> Result<Vec<Rule>> {
    let text = std::str::from_utf8(file).map_err(|_| Error::invalid("is no text"))?;
    AuthConfig::rules(text).map_err(|problems| {
        let problems: Vec<_> = problems.0.iter().map(ToString::to_string).collect();
        Error::invalid(problems.join("; "))
    })
}

impl Rule {
    fn covers(&self, dataset: &str) -> bool {
        self.datasets.iter().any(|pattern| pattern.matches(dataset))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).unwrap()
    }

    #[test]
    fn stars_stand_for_any_text() {
        for (text, yes, no) in [
            ("lineitem", vec!["lineitem"], vec!["", "lineitems", "Lineitem", "xlineitem"]),
            ("sales_*", vec!["sales_", "sales_2024"], vec!["sales", "xsales_1"]),
            ("*", vec!["", "a", "s3://b/c/"], vec![]),
            ("*_eu", vec!["_eu", "a_eu", "_eu_eu"], vec!["eu", "a_eu_"]),
            ("a*b*c", vec!["abc", "axxbyyc", "abbcc"], vec!["ac", "acb", "abcd"]),
            ("a*a", vec!["aa", "aba"], vec!["a"]),
            ("a**b", vec!["ab", "axb"], vec!["a"]),
            ("*b*", vec!["b", "abc"], vec!["ac"]),
        ] {
            for name in yes {
                assert!(pattern(text).matches(name), "{text} {name}");
            }
            for name in no {
                assert!(!pattern(text).matches(name), "{text} {name}");
            }
        }
        for text in ["", "a\nb", &"x".repeat(MAX_PATTERN_BYTES + 1)] {
            assert!(Pattern::parse(text).is_err());
        }
    }

    #[test]
    fn what_no_rule_allows_is_refused() {
        let rule = |principal, datasets: &[&str], actions| Rule {
            principal: pattern(principal),
            datasets: datasets.iter().map(|text| pattern(text)).collect(),
            actions,
        };
        let rules = Rules::new(vec![
            rule("spark-*", &["lineitem", "sales_*"], false),
            rule("spark-admin", &["sales_*"], true),
        ]);
        assert!(rules.may_read("spark-1", "lineitem") && rules.may_read("spark-1", "sales_eu"));
        assert!(!rules.may_read("spark-1", "salaries") && !rules.may_read("alice", "lineitem"));
        assert!(!rules.may_act("spark-1", "lineitem") && !rules.may_watch("spark-1"));
        assert!(rules.may_act("spark-admin", "sales_eu") && rules.may_watch("spark-admin"));
        assert!(!rules.may_act("spark-admin", "lineitem"));
        assert!(!Rules::default().may_read("spark-1", "lineitem"));
    }
}
