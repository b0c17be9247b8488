//! The one place that reads the process environment, once, at start.

use std::{collections::BTreeMap, fmt};

/// What the process was told by its environment.
///
/// Values may be credentials, so `Debug` shows names alone.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
}

impl Environment {
    /// The environment of this process; variables that are not UTF-8 are left out.
    pub fn read() -> Self {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }

    /// Overrides of settings: `FLIGHTCACHE_SECTION__KEY` and its value, by name.
    ///
    /// Variables without a double underscore are not ours to judge: an orchestrator sets
    /// `FLIGHTCACHE_PORT` and the like for a service of that name.
    pub fn overrides(&self) -> impl Iterator<Item = (&str, &str)> {
        self.variables
            .iter()
            .filter(|(name, _)| name.starts_with("FLIGHTCACHE_") && name.contains("__"))
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// `FLIGHTCACHE_URL`: the node that client commands talk to.
    pub fn url(&self) -> Option<&str> {
        self.get("FLIGHTCACHE_URL")
    }

    /// `FLIGHTCACHE_TOKEN`: the bearer token of client commands.
    pub fn token(&self) -> Option<&str> {
        self.get("FLIGHTCACHE_TOKEN")
    }

    /// `FLIGHTCACHE_CA`: file of the authorities that client commands trust.
    pub fn ca(&self) -> Option<&str> {
        self.get("FLIGHTCACHE_CA")
    }

    /// `FLIGHTCACHE_CERT`: file of the certificate of client commands.
    pub fn cert(&self) -> Option<&str> {
        self.get("FLIGHTCACHE_CERT")
    }

    /// `FLIGHTCACHE_KEY`: file of its private key.
    pub fn key(&self) -> Option<&str> {
        self.get("FLIGHTCACHE_KEY")
    }

    /// `RUST_LOG`: which log lines are written.
    pub fn log_filter(&self) -> Option<&str> {
        self.get("RUST_LOG")
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(pairs: T) -> Self {
        Self { variables: pairs.into_iter().collect() }
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.variables.keys()).finish()
    }
}
