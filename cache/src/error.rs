//! The error of every crate: what the caller does next, what was wrong, and what lies beneath.

use std::{error::Error as StdError, fmt, sync::Arc};

/// Result of a fallible operation of Flightcache.
pub type Result<T> = std::result::Result<T, Error>;

/// What a caller does next.
///
/// The set is closed: every kind is a different action, and the one exhaustive match that turns
/// kinds into gRPC codes stands in `flight-server`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// Fix the request.
    Invalid,
    /// The dataset, object or column does not exist.
    NotFound,
    /// The caller may not do this.
    Denied,
    /// The caller did not say who it is, or not convincingly.
    Unauthenticated,
    /// The object moved on since the plan was made: plan again.
    Stale,
    /// A ceiling is reached: back off.
    Exhausted,
    /// Retry, elsewhere if there is an elsewhere.
    Unavailable,
    /// The object itself is broken.
    Data,
    /// Our bug.
    Internal,
}

impl ErrorKind {
    /// The kind's name as documentation and clients spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Invalid => "Invalid",
            Self::NotFound => "NotFound",
            Self::Denied => "Denied",
            Self::Unauthenticated => "Unauthenticated",
            Self::Stale => "Stale",
            Self::Exhausted => "Exhausted",
            Self::Unavailable => "Unavailable",
            Self::Data => "Data",
            Self::Internal => "Internal",
        }
    }
}

/// An error: a kind, a one-line message that names what it concerns, and an optional source.
///
/// `Clone` is shallow, so one failed fill can be handed to everyone who waited for it. Messages
/// never hold credentials: a constructor that wraps a foreign error is responsible for that.
#[derive(Clone, Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

macro_rules! constructors {
    ($($name:ident => $kind:ident),* $(,)?) => {$(
        #[doc = concat!("An error of kind [`ErrorKind::", stringify!($kind), "`].")]
        pub fn $name(message: impl Into<String>) -> Self {
            Self::new(ErrorKind::$kind, message)
        }
    )*};
}

impl Error {
    /// An error of `kind` whose message names what it concerns.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    constructors! {
        invalid => Invalid,
        not_found => NotFound,
        denied => Denied,
        unauthenticated => Unauthenticated,
        stale => Stale,
        exhausted => Exhausted,
        unavailable => Unavailable,
        data => Data,
        internal => Internal,
    }

    /// The same error with what lies beneath it.
    pub fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// The same error with `context` before its message, as in `context: message`.
    pub fn context(mut self, context: impl fmt::Display) -> Self {
        self.message = format!("{context}: {}", self.message);
        self
    }

    /// What the caller does next.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The one-line message, without the sources beneath.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_ref().map(|source| source.as_ref() as &(dyn StdError + 'static))
    }
}
