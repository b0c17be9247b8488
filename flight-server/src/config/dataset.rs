//! What a node serves and how it gets there: `[[dataset]]` and `[[store]]`.

use std::{collections::BTreeMap, time::Duration};

use flightcache_connectors::StoreSettings;
use toml::de::DeValue;

use super::{
    section::Section,
    settings::store_url,
    value::{self, Given, Reading},
};

/// Longest name of a dataset, in bytes.
const MAX_NAME_BYTES: usize = 128;

/// `[[dataset]]`: a name and a URL prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatasetConfig {
    /// 1 to 128 of `A-Z a-z 0-9 _ . -`; no two datasets share one.
    pub name: String,
    /// Folder or single object; holds no credentials.
    pub url: String,
    /// Format of the objects.
    pub format: DatasetFormat,
    /// How long a snapshot is served before the origin is listed again.
    pub revalidate_after: Duration,
}

/// Format of a dataset's objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DatasetFormat {
    /// Apache Parquet.
    #[default]
    Parquet,
}

impl DatasetConfig {
    /// A Parquet dataset with the default `revalidate_after` of 5 s.
    ///
    /// # Errors
    /// Says what is wrong with the name or the URL.
    pub fn new(name: impl Into<String>, url: impl Into<String>) -> Result<Self, String> {
        let (name, url) = (name.into(), url.into());
        check_name(&name)?;
        store_url(&url)?;
        let revalidate_after = Duration::from_secs(5);
        Ok(Self { name, url, format: DatasetFormat::Parquet, revalidate_after })
    }

    /// None where a key is missing or wrong, which is noted.
    pub(super) fn read(mut section: Section<'_>) -> Option<Self> {
        let name = section.required("name", |given| {
            let name = value::text(given)?;
            check_name(&name).map(|()| name)
        });
        let url = section.required("url", |given| {
            let url = value::text(given)?;
            store_url(&url).map(|_| url)
        });
        let format = section.setting("format", DatasetFormat::default(), format);
        let revalidate_after =
            section.setting("revalidate_after", Duration::from_secs(5), value::duration);
        section.finish();
        Some(Self { name: name?, url: url?, format, revalidate_after })
    }
}

fn check_name(name: &str) -> Reading<()> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    if name.is_empty() || name.len() > MAX_NAME_BYTES || !name.bytes().all(plain) {
        let name: String = name.escape_debug().take(MAX_NAME_BYTES).collect();
        return Err(format!("`{name}` is no name; use 1 to 128 of A-Z a-z 0-9 _ . -"));
    }
    Ok(())
}

fn format(given: Given<'_>) -> Reading<DatasetFormat> {
    match value::text(given)?.as_str() {
        "parquet" => Ok(DatasetFormat::Parquet),
        other => Err(format!("`{}` is not supported; use \"parquet\"", other.escape_debug())),
    }
}

/// `[[store]]`: credentials and endpoint for a URL prefix; none where a key is missing or wrong,
/// which is noted.
pub(super) fn read_store(mut section: Section<'_>) -> Option<StoreSettings> {
    let prefix = section.required("prefix", |given| {
        let prefix = value::text(given)?;
        store_url(&prefix).map(|_| prefix)
    });
    let options = section.setting("options", BTreeMap::new(), options);
    section.finish();
    Some(StoreSettings { prefix: prefix?, options })
}

/// Strings, numbers and booleans by name; messages hold names alone.
fn options(given: Given<'_>) -> Reading<BTreeMap<String, String>> {
    let Given::Toml(DeValue::Table(table)) = given else {
        return Err("not a table; write { use_emulator = \"true\" }".to_owned());
    };
    let option =
        |(key, value): (&toml::Spanned<toml::de::DeString<'_>>, &toml::Spanned<DeValue<'_>>)| {
            let key = key.get_ref().to_string();
            let text = match value.get_ref() {
                DeValue::String(text) => text.to_string(),
                DeValue::Integer(number) => number.to_string(),
                DeValue::Boolean(flag) => flag.to_string(),
                _ => {
                    return Err(format!(
                        "option `{}` is not a string; quote it",
                        key.escape_debug()
                    ));
                }
            };
            Ok((key, text))
        };
    table.iter().map(option).collect()
}
