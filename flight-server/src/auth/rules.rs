//! Rules: which principal may read which datasets, and act on them.

use std::fmt;

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
pub(super) struct Rules(Vec<Rule>);

impl Rules {
    pub(super) fn new(rules: Vec<Rule>) -> Self {
        Self(rules)
    }

    /// Whether `principal` may read `dataset`.
    pub(super) fn may_read(&self, principal: &str, dataset: &str) -> bool {
        self.of(principal).any(|rule| rule.covers(dataset))
    }

    /// Whether `principal` may act on `dataset`.
    pub(super) fn may_act(&self, principal: &str, dataset: &str) -> bool {
        self.of(principal).any(|rule| rule.actions && rule.covers(dataset))
    }

    /// Whether `principal` may see the figures of the node.
    pub(super) fn may_watch(&self, principal: &str) -> bool {
        self.of(principal).any(|rule| rule.actions)
    }

    fn of(&self, principal: &str) -> impl Iterator<Item = &Rule> {
        self.0.iter().filter(move |rule| rule.principal.matches(principal))
    }
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
