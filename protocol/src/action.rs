//! Actions: their names, and the JSON that goes in and comes out.

use flightcache_cache::{Error, Result};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// The actions a node knows: its own with JSON bodies, and Flight's own with protobuf bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Fill a dataset's chunks: [`WarmRequest`] in, a stream of [`WarmReply`] out.
    Warm,
    /// List a dataset's objects again: [`DatasetRequest`] in, [`RefreshReply`] out.
    Refresh,
    /// Drop a dataset's chunks from every tier: [`DatasetRequest`] in, [`EvictReply`] out.
    Evict,
    /// Say where a ticket's columns lie on disk: [`MapRequest`](crate::MapRequest) in,
    /// [`MapReply`](crate::MapReply) out.
    Map,
    /// The node's figures: `{}` in, [`Stats`](crate::Stats) out.
    Stats,
    /// Flight's own: stop what a `FlightInfo` started.
    CancelFlightInfo,
    /// Flight's own: the same endpoint, good for longer.
    RenewFlightEndpoint,
    /// Flight SQL's: as [`CancelFlightInfo`](Self::CancelFlightInfo), of older clients.
    CancelQuery,
    /// Flight SQL's: a handle of a statement.
    CreatePreparedStatement,
    /// Flight SQL's: the handle is not used any more.
    ClosePreparedStatement,
}

impl Action {
    /// Every action, in the order they are listed to clients.
    pub const ALL: [Self; 10] = [
        Self::Warm,
        Self::Refresh,
        Self::Evict,
        Self::Map,
        Self::Stats,
        Self::CancelFlightInfo,
        Self::RenewFlightEndpoint,
        Self::CancelQuery,
        Self::CreatePreparedStatement,
        Self::ClosePreparedStatement,
    ];

    /// The action's type on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Warm => "flightcache.warm",
            Self::Refresh => "flightcache.refresh",
            Self::Evict => "flightcache.evict",
            Self::Map => "flightcache.map",
            Self::Stats => "flightcache.stats",
            Self::CancelFlightInfo => "CancelFlightInfo",
            Self::RenewFlightEndpoint => "RenewFlightEndpoint",
            Self::CancelQuery => "CancelQuery",
            Self::CreatePreparedStatement => "CreatePreparedStatement",
            Self::ClosePreparedStatement => "ClosePreparedStatement",
        }
    }

    /// One line on what it does and takes.
    pub fn description(self) -> &'static str {
        match self {
            Self::Warm => r#"fill a dataset: {"dataset", "columns"?, "filter"?}; streams progress"#,
            Self::Refresh => r#"list a dataset's objects again: {"dataset"}"#,
            Self::Evict => r#"drop a dataset's chunks from memory and disk: {"dataset"}"#,
            Self::Map => r#"where the columns of a ticket lie on this machine: {"ticket"}"#,
            Self::Stats => "the node's figures: {}",
            Self::CancelFlightInfo => "end the query of a FlightInfo; scans end with their streams",
            Self::RenewFlightEndpoint => "an endpoint whose ticket is good for longer",
            Self::CancelQuery => "end a query: Flight SQL's older way",
            Self::CreatePreparedStatement => "prepare a SQL statement",
            Self::ClosePreparedStatement => "a prepared statement is not used any more",
        }
    }

    /// The action of that name.
    ///
    /// # Errors
    /// `Invalid` for an unknown name, listing those that exist.
    pub fn parse(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|action| action.name() == name).ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            Error::invalid(format!("unknown action `{}`; known: {known}", name.escape_debug()))
        })
    }

    /// Reads this action's JSON body; an empty body counts as `{}`.
    ///
    /// # Errors
    /// `Invalid` naming the action and the unknown, missing or ill-typed key.
    pub fn body<T: DeserializeOwned>(self, json: &[u8]) -> Result<T> {
        let json = if json.is_empty() { b"{}" } else { json };
        serde_json::from_slice(json)
            .map_err(|error| Error::invalid(format!("{}: {error}", self.name())))
    }
}

/// Body of `flightcache.refresh` and `flightcache.evict`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatasetRequest {
    /// Name of the dataset.
    pub dataset: String,
}

/// Body of `flightcache.warm`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WarmRequest {
    /// Name of the dataset.
    pub dataset: String,
    /// Columns to fill; all of them if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<Vec<String>>,
    /// SQL boolean expression; row groups that cannot match are left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
}

/// One message of `flightcache.warm`: any number of `progress`, then one `summary`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WarmReply {
    /// How far it is.
    Progress(WarmProgress),
    /// How it ended.
    Summary(WarmSummary),
}

/// How far a warm-up is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WarmProgress {
    /// Fragments done, failed ones included.
    pub fragments: u64,
    /// Fragments in all.
    pub of: u64,
    /// Decoded bytes that are now cached.
    pub bytes: u64,
}

/// How a warm-up ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WarmSummary {
    /// Fragments in all.
    pub fragments: u64,
    /// Decoded bytes that were filled or already cached.
    pub bytes: u64,
    /// Every fragment that failed.
    pub failures: Vec<FillFailure>,
}

/// A fragment that could not be filled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FillFailure {
    /// Path of the object.
    pub object: String,
    /// Ordinal of the row group.
    pub row_group: u32,
    /// What went wrong.
    pub error: String,
}

/// Answer of `flightcache.refresh`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefreshReply {
    /// Id of the snapshot that is current now.
    pub snapshot: String,
    /// Its objects.
    pub objects: u64,
    /// Their bytes as stored.
    pub bytes: u64,
}

/// Answer of `flightcache.evict`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvictReply {
    /// Bytes dropped from memory.
    pub memory_bytes: u64,
    /// Bytes dropped from disk.
    pub disk_bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_are_found_by_their_names_and_bodies_are_strict() {
        for action in Action::ALL {
            assert_eq!(Action::parse(action.name()).unwrap(), action);
        }
        let error = Action::parse("flightcache.wram").unwrap_err();
        assert!(error.message().contains("flightcache.warm"), "{error}");
        let error = Action::Evict.body::<DatasetRequest>(b"{\"name\": 1}").unwrap_err();
        assert!(error.message().contains("name"), "{error}");
        let error = Action::Evict.body::<DatasetRequest>(b"").unwrap_err();
        assert!(error.message().contains("dataset"), "{error}");
    }
}
