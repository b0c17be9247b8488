//! Hive-style partition folders, `name=value`, and names that readers pass over.

use flightcache_cache::{Error, Result};
use percent_encoding::percent_decode_str;

/// What Hive and Spark call the folder of null.
const NULL_FOLDER: &str = "__HIVE_DEFAULT_PARTITION__";

/// Names and values of the partition folders of one file, outermost first.
pub(crate) type Partitions = Vec<(String, Option<String>)>;

/// Whether a reader passes over the file at `path`, relative to the dataset: a segment begins
/// with `.` or `_`, as Spark's own and unfinished files do, unless it is a partition folder.
pub(crate) fn is_hidden(path: &str) -> bool {
    path.ends_with("._COPYING_")
        || path.split('/').any(|segment| {
            segment.starts_with('.') || (segment.starts_with('_') && !segment.contains('='))
        })
}

/// The partition folders of the file at `path`, relative to the dataset.
pub fn partitions(path: &str) -> Partitions {
    let folders = path.rsplit_once('/').map_or("", |(folders, _)| folders);
    let pairs = folders.split('/').filter_map(|folder| folder.split_once('='));
    pairs
        .filter(|(name, _)| !name.is_empty())
        .map(|(name, value)| (decode(name), (value != NULL_FOLDER).then(|| decode(value))))
        .collect()
}

/// The values of `partitions` in the order of `columns`.
///
/// # Errors
/// `Data` naming `object` if its folders name other columns.
pub(crate) fn values(
    mut partitions: Partitions,
    columns: &[String],
    object: &str,
) -> Result<Vec<Option<String>>> {
    let found: Vec<_> = partitions.iter().map(|(name, _)| name.clone()).collect();
    let mut values = Vec::with_capacity(columns.len());
    for column in columns {
        let index = partitions.iter().position(|(name, _)| name == column);
        values.extend(index.map(|index| partitions.swap_remove(index).1));
    }
    if values.len() != columns.len() || !partitions.is_empty() {
        return Err(Error::data(format!(
            "object {object} has partition columns {found:?} where others have {columns:?}"
        )));
    }
    Ok(values)
}

fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8().map_or_else(|_| text.to_owned(), Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_read_and_unescaped() {
        let found = partitions("a=1/plain/_b=x%2Fy%20z/c=__HIVE_DEFAULT_PARTITION__/d=3.parquet");
        let expected = [("a", Some("1")), ("_b", Some("x/y z")), ("c", None)];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.map(str::to_owned)));
        assert_eq!(found, expected);
    }

    #[test]
    fn hidden_names() {
        for path in ["_SUCCESS", ".a.crc", "_delta_log/0.json", "a/.hidden/b", "a._COPYING_"] {
            assert!(is_hidden(path), "{path}");
        }
        for path in ["a", "_part=1/a", "a_b/c.parquet", "a.b"] {
            assert!(!is_hidden(path), "{path}");
        }
    }
}
