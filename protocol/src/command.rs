//! The scan command: which rows and columns of which dataset.

use std::collections::HashSet;

use flightcache_cache::{Error, Result};
use serde::{Deserialize, Serialize};

/// Longest command that is read, in bytes.
pub const MAX_COMMAND_BYTES: usize = 1 << 20;

/// What a client asks for, as UTF-8 JSON; all but the target is optional and unknown keys are
/// refused.
///
/// ```json
/// {"dataset": "lineitem", "columns": ["l_orderkey"], "filter": "l_quantity > 10", "limit": 100}
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScanCommand {
    /// Name of a dataset; either this or `url`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset: Option<String>,
    /// URL of a folder or an object: inside a dataset's prefix, or where the configuration allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Columns to return, in this order; all of them if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<Vec<String>>,
    /// SQL boolean expression; rows for which it is not true are never returned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// SQL boolean expression that may drop whole row groups and pages that cannot match, but no
    /// single row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prune: Option<String>,
    /// SQL boolean expression; rows for which it is not true may be left out, wherever the server
    /// finds that this pays: for engines that filter again by their own rules. Not with `limit`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefilter: Option<String>,
    /// Rows to return at most, over all endpoints together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// Ordinals of the row groups to read, in their file; only with a `url` of one object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row_groups: Option<Vec<u32>>,
    /// Columns of which the plan is to tell what footers know exactly of all their rows; not with
    /// what leaves rows out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statistics: Option<Vec<String>>,
    /// Snapshot to read; the newest if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
}

/// What a command names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanTarget<'a> {
    /// A dataset by name.
    Dataset(&'a str),
    /// A URL.
    Url(&'a str),
}

impl ScanCommand {
    /// The whole of a dataset.
    pub fn dataset(name: impl Into<String>) -> Self {
        Self { dataset: Some(name.into()), ..Self::default() }
    }

    /// Reads a command from its JSON.
    ///
    /// # Errors
    /// `Invalid` for what is not such JSON, naming the unknown or ill-typed key, for more than
    /// [`MAX_COMMAND_BYTES`], unless exactly one of `dataset` and `url` is given, for `row_groups`
    /// without a `url`, or that name one twice, for a `limit` beside a `prefilter`,
    /// and for `statistics` beside what leaves rows out.
    pub fn parse(json: &[u8]) -> Result<Self> {
        if json.len() > MAX_COMMAND_BYTES {
            return Err(Error::invalid(format!(
                "scan command of {} bytes is longer than {MAX_COMMAND_BYTES}",
                json.len()
            )));
        }
        let command: Self = serde_json::from_slice(json)
            .map_err(|error| Error::invalid(format!("scan command: {error}")))?;
        command.target()?;
        command.check_row_groups()?;
        command.check_statistics()?;
        if command.prefilter.is_some() && command.limit.is_some() {
            let what = "`limit` counts rows that a `prefilter` need not leave out: use `filter`";
            return Err(Error::invalid(what));
        }
        Ok(command)
    }

    /// What the command names.
    ///
    /// # Errors
    /// `Invalid` unless exactly one of `dataset` and `url` is given.
    pub fn target(&self) -> Result<ScanTarget<'_>> {
        match (&self.dataset, &self.url) {
            (Some(name), None) => Ok(ScanTarget::Dataset(name)),
            (None, Some(url)) => Ok(ScanTarget::Url(url)),
            (None, None) => Err(Error::invalid("scan command names neither `dataset` nor `url`")),
            (Some(_), Some(_)) => {
                Err(Error::invalid("scan command names both `dataset` and `url`: give one"))
            }
        }
    }

    fn check_statistics(&self) -> Result<()> {
        let whole = self.filter.is_none()
            && self.prune.is_none()
            && self.prefilter.is_none()
            && self.limit.is_none()
            && self.row_groups.is_none();
        if self.statistics.is_none() || whole {
            return Ok(());
        }
        Err(Error::invalid("`statistics` are of all rows: ask without what leaves some out"))
    }

    fn check_row_groups(&self) -> Result<()> {
        let Some(row_groups) = &self.row_groups else { return Ok(()) };
        if self.url.is_none() {
            return Err(Error::invalid("`row_groups` are of one object: name it by `url`"));
        }
        let mut seen = HashSet::new();
        match row_groups.iter().find(|ordinal| !seen.insert(**ordinal)) {
            Some(twice) => Err(Error::invalid(format!("row group {twice} is asked for twice"))),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_commands_name_what_is_wrong() {
        for (json, named) in [
            (r#"{"dataset": "a", "colums": []}"#, "colums"),
            (r#"{"dataset": "a", "limit": -1}"#, "-1"),
            (r#"{"dataset": "a", "columns": "x"}"#, "\"x\""),
            (r#"{"dataset": "a", "url": "file:///x"}"#, "both"),
            ("{}", "neither"),
            (r#"{"dataset": "a", "row_groups": [0]}"#, "by `url`"),
            (r#"{"url": "a", "row_groups": [3, 1, 3]}"#, "row group 3 is asked for twice"),
            (r#"{"url": "a", "row_groups": [-1]}"#, "-1"),
            (r#"{"url": "a", "row_groups": 1}"#, "expected a sequence"),
            (r#"{"dataset": "a", "prefilter": "x > 1", "limit": 1}"#, "`prefilter`"),
            (r#"{"dataset": "a", "statistics": ["x"], "limit": 1}"#, "`statistics`"),
            ("[", "EOF"),
            ("\u{1f980}", "expected value"),
        ] {
            let error = ScanCommand::parse(json.as_bytes()).unwrap_err();
            assert!(error.message().contains(named), "{json}: {error}");
        }
        assert!(ScanCommand::parse(&vec![b' '; MAX_COMMAND_BYTES + 1]).is_err());
    }
}
