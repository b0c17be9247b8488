//! The datasets a node serves, and what a scan command's target resolves to.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use flightcache_cache::{Error, Result};
use flightcache_connectors::{Dataset, Snapshot, SnapshotBook, Stores};
use flightcache_planner::near;
use flightcache_protocol::{ScanCommand, ScanTarget};
use moka::sync::Cache;

use crate::{auth::Caller, config::Config};

/// Ad-hoc datasets of scan commands with a `url` that are kept at most.
const MAX_AD_HOC: u64 = 1024;
/// How long an ad-hoc dataset is kept after its last use.
const AD_HOC_TIME_TO_IDLE: Duration = Duration::from_mins(10);

/// Part of the disk tier's capacity that old snapshots may take beside it, and their most bytes.
const BOOK_PART: u64 = 64;
const MAX_BOOK_BYTES: u64 = 256 << 20;

/// The datasets of a node.
#[derive(Debug)]
pub struct Datasets {
    by_name: BTreeMap<String, Arc<Dataset>>,
    /// One for each URL prefix that the configuration allows; only ever asked whether it covers.
    allowed: Vec<Dataset>,
    ad_hoc: Cache<String, Arc<Dataset>>,
    stores: Arc<Stores>,
    book: Option<Arc<SnapshotBook>>,
}

impl Datasets {
    /// The datasets of `config`; nothing is listed yet.
    ///
    /// # Errors
    /// `Invalid` naming the dataset or prefix whose URL is malformed or has no store.
    pub fn new(config: &Config, stores: &Arc<Stores>) -> Result<Self> {
        let book = book(config)?;
        let open = |name: &str, url: &str, revalidate_after| {
            Dataset::remembered(name, url, revalidate_after, Arc::clone(stores), book.clone())
        };
        let mut by_name = BTreeMap::new();
        for dataset in &config.datasets {
            let opened = open(&dataset.name, &dataset.url, dataset.revalidate_after)
                .map_err(|error| error.context(format!("dataset `{}`", dataset.name)))?;
            by_name.insert(dataset.name.clone(), Arc::new(opened));
        }
        let allowed = config.server.allow_urls.iter().map(|url| open(url, url, Duration::ZERO));
        Ok(Self {
            by_name,
            allowed: allowed.collect::<Result<_>>()?,
            ad_hoc: Cache::builder()
                .max_capacity(MAX_AD_HOC)
                .time_to_idle(AD_HOC_TIME_TO_IDLE)
                .build(),
            stores: Arc::clone(stores),
            book,
        })
    }

    /// The datasets that `caller` may read, by name.
    pub fn readable(&self, caller: &Caller) -> Vec<Arc<Dataset>> {
        let readable = self.by_name.values().filter(|dataset| caller.may_read(dataset.name()));
        let readable: Vec<_> = readable.cloned().collect();
        caller.listed(readable.len());
        readable
    }

    /// The names of the datasets that `caller` may read, in order.
    pub fn names(&self, caller: &Caller) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str).filter(|name| caller.may_read(name))
    }

    /// The dataset called `name`, if `caller` may do with it what it calls for.
    ///
    /// # Errors
    /// `NotFound` naming it, with near names, if it does not exist or must not be read, between
    /// which nothing tells; `Denied` for an action on one that may only be read.
    pub fn get(&self, caller: &Caller, name: &str) -> Result<&Arc<Dataset>> {
        let readable = caller.may_read(name);
        let found = self.by_name.get(name).filter(|_| readable);
        caller.decide(name, found, || {
            let known = self.by_name.keys().map(String::as_str);
            let near = near(name, known.filter(|known| caller.may_read(known)));
            Error::not_found(format!("dataset `{}` does not exist{near}", name.escape_debug()))
        })
    }

    /// Checks that `caller` may read what `command` reads; asks no store.
    ///
    /// # Errors
    /// As [`Datasets::resolve`], but for what listing gives.
    pub fn authorize(&self, caller: &Caller, command: &ScanCommand) -> Result<()> {
        self.target(caller, command).map(drop)
    }

    /// Checks that `caller`, which [`authorize`](Self::authorize) let read `command` before, may read
    /// on: its proof is still good, and rules still allow it. Writes an audit line if not.
    ///
    /// # Errors
    /// `Unauthenticated`, or as [`authorize`](Self::authorize).
    pub fn authorize_on(&self, caller: &Caller, command: &ScanCommand) -> Result<()> {
        caller.must_be_known()?;
        let readable = match command.target()? {
            ScanTarget::Dataset(name) => caller.may_read(name),
            ScanTarget::Url(url) => {
                self.covering(caller, url).is_some() || self.allowing(caller, url).is_some()
            }
        };
        if readable { Ok(()) } else { self.authorize(caller, command) }
    }

    /// The snapshot that `command` reads: of its dataset, or of what its URL covers; the pinned
    /// one if it names one. Nothing is listed that `caller` must not read.
    ///
    /// # Errors
    /// `NotFound` for a dataset or URL that is not served to `caller`, `Stale` for a pinned
    /// snapshot that is gone, `Invalid` for a malformed URL; what listing gives.
    pub async fn resolve(&self, caller: &Caller, command: &ScanCommand) -> Result<Arc<Snapshot>> {
        let (dataset, path) = self.target(caller, command)?;
        let snapshot = match &command.snapshot {
            Some(id) => dataset.pinned(id).await,
            None => dataset.snapshot().await,
        }
        .map_err(|error| error.context(format!("dataset `{}`", dataset.name())))?;
        match path {
            Some(path) => snapshot.restrict(&path).map(Arc::new),
            None => Ok(snapshot),
        }
    }

    /// An object that `command` read turned out to be gone: see [`Dataset::outdated`].
    pub fn outdated(
        &self,
        caller: &Caller,
        command: &ScanCommand,
        hold: impl Fn(&Snapshot) -> bool,
    ) {
        let dataset = match command.target() {
            Ok(ScanTarget::Dataset(name)) => self.by_name.get(name).cloned(),
            Ok(ScanTarget::Url(url)) => {
                let covering = self.covering(caller, url).map(|(dataset, _)| Arc::clone(dataset));
                covering.or_else(|| self.ad_hoc.get(url))
            }
            Err(_) => None,
        };
        if let Some(dataset) = dataset {
            dataset.outdated(hold);
        }
    }

    /// The innermost dataset that `caller` may read and that covers `url`, and the path in it.
    fn covering(&self, caller: &Caller, url: &str) -> Option<(&Arc<Dataset>, String)> {
        self.by_name
            .values()
            .filter(|dataset| caller.may_read(dataset.name()))
            .filter_map(|dataset| Some((dataset, dataset.under(url)?)))
            .max_by_key(|(dataset, _)| dataset.location().path.len())
    }

    /// The entry of `allow_urls` that `caller` may read and that covers `url`: rules name the entry,
    /// since a URL itself can be spelled in many ways.
    fn allowing(&self, caller: &Caller, url: &str) -> Option<&Dataset> {
        let mut allowed = self.allowed.iter().filter(|allowed| caller.may_read(allowed.name()));
        allowed.find(|allowed| allowed.under(url).is_some())
    }

    fn target(
        &self,
        caller: &Caller,
        command: &ScanCommand,
    ) -> Result<(Arc<Dataset>, Option<String>)> {
        let url = match command.target()? {
            ScanTarget::Dataset(name) => return Ok((Arc::clone(self.get(caller, name)?), None)),
            ScanTarget::Url(url) => url,
        };
        if let Some((dataset, path)) = self.covering(caller, url) {
            let dataset = caller.decide(dataset.name(), Some(dataset), unserved)?;
            return Ok((Arc::clone(dataset), Some(path)));
        }
        let allowed = self.allowing(caller, url);
        caller.decide(allowed.map_or(url, |allowed| allowed.name()), allowed, unserved)?;
        if let Some(dataset) = self.ad_hoc.get(url) {
            return Ok((dataset, None));
        }
        let (stores, book) = (Arc::clone(&self.stores), self.book.clone());
        let dataset = Dataset::remembered(url, url, DEFAULT_REVALIDATE_AFTER, stores, book)?;
        let dataset = Arc::new(dataset);
        self.ad_hoc.insert(url.to_owned(), Arc::clone(&dataset));
        Ok((dataset, None))
    }
}

/// Where old snapshots are kept: beside the disk tier, whose lock it is under.
fn book(config: &Config) -> Result<Option<Arc<SnapshotBook>>> {
    let folder = config.cache.dir.as_ref().filter(|_| config.cache.disk > 0);
    let bytes = (config.cache.disk / BOOK_PART).min(MAX_BOOK_BYTES);
    let book = folder.map(|folder| SnapshotBook::open(folder.join("snapshots"), bytes));
    Ok(book.transpose()?.map(Arc::new))
}

fn unserved() -> Error {
    Error::not_found(
        "no dataset covers that URL, and the configuration's `allow_urls` does not either",
    )
}

/// How long a listing of an ad-hoc dataset is good.
const DEFAULT_REVALIDATE_AFTER: Duration = Duration::from_secs(5);
