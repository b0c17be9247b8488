//! Where an issuer's keys come from: a file that is followed, or the issuer itself.

use std::sync::Arc;

use flightcache_cache::Result;

use super::{Refusal, Watched, jwks::KeySet, jwt::Token, remote::Remote};
use crate::config::{KeysAt, OidcConfig};

/// The keys of an issuer.
#[derive(Debug)]
pub(super) enum Keys {
    /// In a file.
    File(Arc<Watched<KeySet>>),
    /// At the issuer.
    Remote(Arc<Remote>),
}

impl Keys {
    /// Follows the keys of `config`'s issuer from now on.
    ///
    /// # Errors
    /// `Invalid` naming a file that cannot be read or is no key set.
    pub(super) fn start(config: &OidcConfig) -> Result<Self> {
        if let KeysAt::File(path) = &config.keys {
            let keys = Arc::new(Watched::open("jwks_file", path, KeySet::parse)?);
            keys.follow();
            return Ok(Self::File(keys));
        }
        Remote::start(config).map(Self::Remote)
    }

    /// Checks that a key of the issuer signed `token`.
    pub(super) async fn verify(&self, token: &Token<'_>) -> std::result::Result<(), Refusal> {
        let remote = match self {
            Self::File(keys) => return verdict(keys.get().verify(token)),
            Self::Remote(remote) => remote,
        };
        let outcome = remote.current().and_then(|keys| keys.verify(token));
        if outcome.is_some() {
            return verdict(outcome);
        }
        // The key may be new. A caller that goes away ends its wait, never the fetch.
        let refreshing = Arc::clone(remote);
        let _ = tokio::spawn(async move { refreshing.refresh().await }).await;
        let keys = remote.current().ok_or(Refusal::KeysUnavailable)?;
        verdict(keys.verify(token))
    }
}

fn verdict(outcome: Option<bool>) -> std::result::Result<(), Refusal> {
    match outcome {
        Some(true) => Ok(()),
        Some(false) => Err(Refusal::Credentials("bad signature")),
        None => Err(Refusal::Credentials("unknown key")),
    }
}
