//! Keys that an issuer publishes: fetched again and again, and when a token names a new one.

use std::{
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use flightcache_cache::{Error, Result};
use reqwest::{Client, redirect::Policy};
use serde::Deserialize;
use tokio::{
    sync::Mutex,
    time::{Instant, sleep},
};
use tracing::{info, warn};
use url::{Host, Url};

use super::jwks::KeySet;
use crate::config::{KeysAt, OidcConfig};

/// How often the keys are fetched again, so that a key that was withdrawn goes out of force.
const REFRESH_EVERY: Duration = Duration::from_mins(5);
/// Least time between two fetches, however many tokens name keys that are not known.
const REFETCH_AFTER: Duration = Duration::from_secs(5);
/// How long keys are good that cannot be fetched again.
const GOOD_FOR: Duration = Duration::from_hours(24);
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest answer of an issuer that is read, in bytes.
const MAX_ANSWER_BYTES: usize = 512 << 10;

/// Keys that the issuer publishes.
#[derive(Debug)]
pub(super) struct Remote {
    issuer: String,
    keys_at: KeysAt,
    client: Client,
    known: RwLock<Option<(Instant, Arc<KeySet>)>>,
    /// When a fetch began last; whoever fetches holds it.
    fetched: Mutex<Option<Instant>>,
    failing: AtomicBool,
}

/// What OpenID Connect Discovery answers.
#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

impl Remote {
    /// The keys of `config`'s issuer, fetched now and again from now on.
    ///
    /// # Errors
    /// `Internal` if there can be no HTTP client.
    pub(super) fn start(config: &OidcConfig) -> Result<Arc<Self>> {
        let place = match &config.keys {
            KeysAt::Url(url) => Some(url.clone()),
            _ => Url::parse(&config.issuer).ok(),
        };
        if place.is_some_and(|url| url.scheme() == "http" && !is_loopback(&url)) {
            let issuer = &config.issuer;
            warn!(
                issuer,
                "keys come unencrypted, whoever is on the way can forge tokens: use https"
            );
        }
        let client = Client::builder()
            .redirect(Policy::none())
            .timeout(FETCH_TIMEOUT)
            .build()
            .map_err(|error| Error::internal("no HTTP client").with_source(error))?;
        let remote = Arc::new(Self {
            issuer: config.issuer.clone(),
            keys_at: config.keys.clone(),
            client,
            known: RwLock::default(),
            fetched: Mutex::default(),
            failing: AtomicBool::new(false),
        });
        let followed = Arc::downgrade(&remote);
        tokio::spawn(async move {
            while let Some(remote) = followed.upgrade() {
                remote.refresh().await;
                let wait = if remote.current().is_some() { REFRESH_EVERY } else { REFETCH_AFTER };
                drop(remote);
                sleep(wait).await;
            }
        });
        Ok(remote)
    }

    /// The keys that were fetched last, if that was not too long ago.
    pub(super) fn current(&self) -> Option<Arc<KeySet>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let (at, keys) = known.as_ref()?;
        (at.elapsed() < GOOD_FOR).then(|| Arc::clone(keys))
    }

    /// Fetches the keys, unless that was tried a moment ago; a failure leaves those that are known
    /// and is logged when it begins.
    pub(super) async fn refresh(&self) {
        let mut fetched = self.fetched.lock().await;
        if fetched.is_some_and(|at| at.elapsed() < REFETCH_AFTER) {
            return;
        }
        let now = Instant::now();
        *fetched = Some(now);
        let issuer = &self.issuer;
        match self.fetch().await {
            Ok(keys) => {
                let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
                *known = Some((now, Arc::new(keys)));
                if self.failing.swap(false, Ordering::Relaxed) {
                    info!(issuer, "keys are fetched again");
                }
            }
            Err(error) if !self.failing.swap(true, Ordering::Relaxed) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                warn!(issuer, %error, cause, "keys cannot be fetched, those known stay in force");
            }
            Err(_) => {}
        }
    }

    async fn fetch(&self) -> Result<KeySet> {
        let url = match &self.keys_at {
            KeysAt::Url(url) => url.clone(),
            _ => self.discover().await?,
        };
        KeySet::parse(&self.get(url).await?)
    }

    async fn discover(&self) -> Result<Url> {
        let place =
            format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'));
        let place = Url::parse(&place).map_err(|_| Error::invalid("issuer is no URL"))?;
        let discovery: Discovery =
            serde_json::from_slice(&self.get(place).await?).map_err(|error| {
                Error::data("answer is no OpenID Connect discovery document").with_source(error)
            })?;
        if discovery.issuer != self.issuer {
            return Err(Error::data("the issuer's discovery names another issuer"));
        }
        let keys_at = Url::parse(&discovery.jwks_uri).ok();
        keys_at
            .filter(|url| matches!(url.scheme(), "http" | "https"))
            .ok_or_else(|| Error::data("the issuer's discovery names no URL of keys"))
    }

    async fn get(&self, url: Url) -> Result<Vec<u8>> {
        let failed = |error: reqwest::Error| {
            Error::unavailable("no answer").with_source(error.without_url())
        };
        let mut answer = self.client.get(url).send().await.map_err(failed)?;
        if !answer.status().is_success() {
            let status = answer.status();
            return Err(Error::unavailable(format!("answered {}", status.as_u16())));
        }
        let mut body = Vec::new();
        while let Some(part) = answer.chunk().await.map_err(failed)? {
            if body.len() + part.len() > MAX_ANSWER_BYTES {
                return Err(Error::data("answer is longer than 512 KiB"));
            }
            body.extend_from_slice(&part);
        }
        Ok(body)
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
