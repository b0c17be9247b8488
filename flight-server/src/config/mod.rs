//! Configuration: the sum of plain settings, from a TOML file, the environment and flags.
//!
//! ```text
//!  file ──► FLIGHTCACHE_SECTION__KEY ──► flags        later ones win
//!    └────────────┴───────────────────────┴──► Config, or every problem with its place
//! ```
//!
//! A key that nobody reads is refused, one that a later version will read included: a setting that
//! is silently ignored is worse than one that is not there.

mod auth;
mod dataset;
pub mod environment;
mod problem;
mod section;
mod settings;
mod sql;
mod suggest;
#[cfg(test)]
mod tests;
mod value;

use std::{collections::BTreeMap, path::Path};

use flightcache_connectors::{OriginSettings, StoreSettings};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

pub use auth::{AuthConfig, KeysAt, OidcConfig, TlsConfig};
pub use dataset::{DatasetConfig, DatasetFormat};
pub use environment::Environment;
pub use problem::{Problem, Problems};
pub use settings::{CacheConfig, MIN_MEMORY, ServerConfig};
pub use sql::SqlConfig;
pub use value::{parse_address, parse_duration, parse_size};

use problem::Lines;
use section::{Override, Reader, Section};

/// Everything a node is told at start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Addresses, shutdown and admission.
    pub server: ServerConfig,
    /// Who may read what; absent: everybody everything.
    pub auth: Option<AuthConfig>,
    /// The tiers and the budgets of fills.
    pub cache: CacheConfig,
    /// What queries may hold, spill and take.
    pub sql: SqlConfig,
    /// How object stores are read.
    pub origin: OriginSettings,
    /// What is served, in the order of the file; names are unique.
    pub datasets: Vec<DatasetConfig>,
    /// Credentials and endpoints by URL prefix.
    pub stores: Vec<StoreSettings>,
}

/// Settings from the command line; they win over the environment and the file.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    settings: Vec<Override>,
    datasets: Vec<(String, String)>,
}

impl Flags {
    /// Lays the text of `flag`, such as `--listen`, over the setting `SECTION.KEY`.
    pub fn set(&mut self, flag: &str, setting: &str, text: impl Into<String>) {
        let (place, setting) = (flag.to_owned(), setting.to_owned());
        self.settings.push(Override { place, setting, text: text.into() });
    }

    /// Adds a dataset, or gives the file's dataset of that name another URL.
    pub fn dataset(&mut self, name: impl Into<String>, url: impl Into<String>) {
        self.datasets.push((name.into(), url.into()));
    }
}

impl Config {
    /// Reads the file, if any, and lays the environment and the flags over it.
    ///
    /// # Errors
    /// Every unknown key and every wrong value with its file and line, variable or flag.
    pub fn load(
        file: Option<&Path>,
        environment: &Environment,
        flags: &Flags,
    ) -> Result<Self, Problems> {
        let text = match file {
            None => String::new(),
            Some(path) => std::fs::read_to_string(path).map_err(|error| {
                let message = format!("cannot be read: {error}; name a readable TOML file");
                Problems(vec![Problem { place: path.display().to_string(), message }])
            })?,
        };
        Self::parse(file.unwrap_or(Path::new("defaults")), &text, environment, flags)
    }

    /// As [`Config::load`] from the text of the file, whose name only stands in messages.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(
        file: &Path,
        text: &str,
        environment: &Environment,
        flags: &Flags,
    ) -> Result<Self, Problems> {
        let from_environment = environment.overrides().map(|(name, text)| Override {
            place: name.to_owned(),
            setting: setting(name),
            text: text.to_owned(),
        });
        let overrides = from_environment.chain(flags.settings.iter().cloned()).collect();
        let (root, mut reader) = toml(file, text, overrides)?;
        let root = root.get_ref();
        let server = ServerConfig::read(table(&mut reader, root, "server"));
        let certificates = server.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
        let auth = AuthConfig::read(table(&mut reader, root, "auth"), certificates);
        let cache = CacheConfig::read(table(&mut reader, root, "cache"));
        let mut config = Self {
            server,
            auth,
            sql: SqlConfig::read(table(&mut reader, root, "sql"), &cache),
            cache,
            origin: settings::read_origin(table(&mut reader, root, "origin")),
            datasets: datasets(&mut reader, root),
            stores: tables(&mut reader, root, "store", dataset::read_store)
                .into_iter()
                .map(|(_, store)| store)
                .collect(),
        };
        config.add_datasets(&mut reader, &flags.datasets);
        Section::root(
            &mut reader,
            root,
            &["server", "auth", "cache", "sql", "origin", "dataset", "store"],
        )
        .finish();
        reader.finish(config)
    }

    fn add_datasets(&mut self, reader: &mut Reader, flags: &[(String, String)]) {
        for (name, url) in flags {
            match DatasetConfig::new(name, url) {
                Err(message) => reader.problem_of("--dataset", message),
                Ok(added) => match self.datasets.iter_mut().find(|known| known.name == *name) {
                    Some(known) => known.url = added.url,
                    None => self.datasets.push(added),
                },
            }
        }
    }
}

/// Parses the text of `file`; it and `overrides` are still to be read.
///
/// # Errors
/// Where it is not TOML.
fn toml<'a>(
    file: &Path,
    text: &'a str,
    overrides: Vec<Override>,
) -> Result<(Spanned<DeTable<'a>>, Reader), Problems> {
    let mut reader = Reader::new(Lines::new(file, text), overrides);
    let (root, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Ok((root, reader));
    }
    for error in &errors {
        let offset = error.span().map_or(0, |span| span.start);
        let message = error.message().replace('\n', ", ");
        reader.problem_at(offset, format!("not TOML: {message}; correct it"));
    }
    Err(reader.problems())
}

/// `SECTION.KEY` of a variable `FLIGHTCACHE_SECTION__KEY`.
fn setting(variable: &str) -> String {
    let name = variable.strip_prefix("FLIGHTCACHE_").unwrap_or(variable);
    name.to_lowercase().replace("__", ".")
}

fn table<'a>(reader: &'a mut Reader, root: &'a DeTable<'a>, name: &'static str) -> Section<'a> {
    let value = root.get(name);
    let offset = value.map_or(0, |value| value.span().start);
    let found = value.map(|value| value.get_ref().as_table());
    if let Some(None) = found {
        reader.problem_at(offset, format!("`{name}` is not a table; write [{name}]"));
    }
    Section::new(reader, name, found.flatten(), offset)
}

/// Reads every table of an array of tables, with the offset where it starts.
fn tables<T>(
    reader: &mut Reader,
    root: &DeTable<'_>,
    name: &'static str,
    read: fn(Section<'_>) -> Option<T>,
) -> Vec<(usize, T)> {
    let Some(value) = root.get(name) else { return Vec::new() };
    let mut found = Vec::new();
    let Some(array) = value.get_ref().as_array() else {
        reader.problem_at(value.span().start, format!("not a list; write [[{name}]]"));
        return found;
    };
    for element in array {
        let offset = element.span().start;
        match element.get_ref() {
            DeValue::Table(table) => {
                let section = Section::element(reader, name, table, offset);
                found.extend(read(section).map(|settings| (offset, settings)));
            }
            _ => reader.problem_at(offset, format!("not a table; write [[{name}]]")),
        }
    }
    found
}

fn datasets(reader: &mut Reader, root: &DeTable<'_>) -> Vec<DatasetConfig> {
    let found = tables(reader, root, "dataset", DatasetConfig::read);
    let mut first: BTreeMap<String, usize> = BTreeMap::new();
    for (offset, dataset) in &found {
        if first.insert(dataset.name.clone(), *offset).is_some() {
            let message = format!("dataset `{}` is there twice; rename one", dataset.name);
            reader.problem_at(*offset, message);
        }
    }
    found.into_iter().map(|(_, dataset)| dataset).collect()
}
