//! All stores of a node, found by URL or by the names in an object's id.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use flightcache_cache::{Error, ObjectId, Result, Slots};
use object_store::ObjectStore;
use percent_encoding::percent_decode_str;

use super::{
    Shared, Store,
    address::{Address, redact},
    backend::{Plan, complete},
    connector::Connector,
    fault::{self, Action},
    gather::Gatherer,
};
use crate::{OriginCounters, OriginSettings, StoreSettings};

/// Where a URL points. `Clone` is cheap.
#[derive(Clone, Debug)]
pub struct Location {
    /// The container.
    pub store: Arc<Store>,
    /// Path in the container, unescaped, without slashes at its ends.
    pub path: String,
    /// The URL can only be a folder: it ends with a slash, or has no path.
    pub folder: bool,
}

/// All stores of a node: opens each container once.
#[derive(Debug)]
pub struct Stores {
    settings: Vec<(Address, StoreSettings)>,
    shared: Arc<Shared>,
    open: Mutex<HashMap<StoreKey, Arc<Store>>>,
    registered: Mutex<Vec<Arc<Store>>>,
}

/// Name, container, and which settings opened it.
type StoreKey = (String, String, Option<usize>);

impl Stores {
    /// Stores that are opened with `settings` when a URL first names them.
    ///
    /// # Errors
    /// `Invalid` naming a prefix that is no URL or an option its store does not have.
    pub fn new(
        settings: Vec<StoreSettings>,
        origin: OriginSettings,
        counters: Arc<OriginCounters>,
    ) -> Result<Self> {
        let mut parsed = Vec::with_capacity(settings.len());
        for settings in settings {
            let prefix = Address::parse(&settings.prefix)
                .map_err(|error| error.context("prefix of a [[store]]"))?;
            let address = complete(prefix, &settings, &origin)?;
            parsed.push((address, settings));
        }
        let limit = Slots::new(origin.max_concurrent_requests);
        let shared = Arc::new(Shared { origin, counters, limit });
        Ok(Self { settings: parsed, shared, open: Mutex::default(), registered: Mutex::default() })
    }

    /// Serves every URL under `prefix` from `store`. A later registration of a prefix replaces an
    /// earlier one.
    ///
    /// Versions of its objects are told apart by ETag alone, so ETags must not repeat over a
    /// restart if a disk tier outlives it: let the prefix differ from run to run.
    pub fn register(&self, prefix: &str, store: Arc<dyn ObjectStore>) {
        let store = Arc::new(Store {
            name: prefix.trim_end_matches('/').to_owned(),
            container: String::new(),
            inner: store,
            secrets: Vec::new(),
            shared: Arc::clone(&self.shared),
            gatherer: Gatherer::default(),
        });
        let mut registered = self.registered.lock().unwrap_or_else(PoisonError::into_inner);
        registered.retain(|other| other.name != store.name);
        registered.push(store);
        registered.sort_by_key(|store| std::cmp::Reverse(store.name.len()));
    }

    /// Says where `url` points, and opens its container. Sends no request.
    ///
    /// # Errors
    /// `Invalid` naming the URL if it is malformed, its scheme unknown or its options unusable.
    pub fn locate(&self, url: &str) -> Result<Location> {
        if let Some(location) = self.locate_registered(url) {
            return location;
        }
        let address = Address::parse(url)?;
        let (path, folder) = (address.path.clone(), address.folder);
        let store = self.open(address, url)?;
        Ok(Location { store, path, folder })
    }

    /// The name, in the ids of its objects, of the registered store that `url` is the root of.
    pub fn registered(&self, url: &str) -> Option<String> {
        let url = url.trim_end_matches('/');
        let registered = self.registered.lock().unwrap_or_else(PoisonError::into_inner);
        registered.iter().find(|store| store.name == url).map(|store| store.name.clone())
    }

    /// The limits that reads obey.
    pub fn settings(&self) -> &OriginSettings {
        &self.shared.origin
    }

    /// What reads cost so far.
    pub fn counters(&self) -> &Arc<OriginCounters> {
        &self.shared.counters
    }

    /// The store of `object`, opened if need be.
    pub(crate) fn of_object(&self, object: &ObjectId) -> Result<Arc<Store>> {
        let named = |store: &Arc<Store>| store.name == object.store;
        let registered = self.registered.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = registered.iter().find(|store| named(store)) {
            return Ok(Arc::clone(store));
        }
        drop(registered);
        let store = self.open(Address::of_object(object)?, &object.to_string())?;
        if named(&store) && store.container == object.container {
            Ok(store)
        } else {
            let other = &store.name;
            Err(Error::stale(format!("object {object} is of another store than {other}")))
        }
    }

    fn locate_registered(&self, url: &str) -> Option<Result<Location>> {
        let registered = self.registered.lock().unwrap_or_else(PoisonError::into_inner);
        let found = registered.iter().find_map(|store| {
            let rest = url.strip_prefix(&store.name)?;
            (rest.is_empty() || rest.starts_with('/')).then_some((store, rest))
        });
        let (store, rest) = found?;
        let Ok(path) = percent_decode_str(rest).decode_utf8() else {
            return Some(Err(Error::invalid(format!("url {}: path is not UTF-8", redact(url)))));
        };
        let folder = path.is_empty() || path.ends_with('/');
        let path = path.trim_matches('/').to_owned();
        Some(Ok(Location { store: Arc::clone(store), path, folder }))
    }

    fn open(&self, address: Address, target: &str) -> Result<Arc<Store>> {
        let covering =
            self.settings.iter().enumerate().filter_map(|(index, (prefix, settings))| {
                prefix.covers(&address).map(|closeness| (closeness, index, settings))
            });
        let best = covering.max_by_key(|(closeness, ..)| *closeness);
        let (index, settings) = best.map_or((None, None), |(_, i, s)| (Some(i), Some(s)));
        let none = StoreSettings::default();
        let settings = settings.unwrap_or(&none);
        let plan = Plan::new(address, settings, &self.shared.origin)?;
        let name = plan.address.store_name(plan.endpoint.as_deref());
        let container = plan.address.container_name().to_owned();
        let key = (name.clone(), container.clone(), index);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = open.get(&key) {
            return Ok(Arc::clone(store));
        }
        let mut secrets: Vec<_> = settings.options.values().cloned().collect();
        secrets.retain(|secret| secret.len() >= MIN_SECRET_BYTES);
        let connector = Connector::new(&self.shared.origin, Arc::clone(&self.shared.counters));
        let inner = plan
            .open(&self.shared.origin, connector)
            .map_err(|error| fault::translate(&error, Action::Open, &redact(target), &secrets))?;
        let shared = Arc::clone(&self.shared);
        let store = Arc::new(Store {
            name,
            container,
            inner,
            secrets,
            shared,
            gatherer: Gatherer::default(),
        });
        open.insert(key, Arc::clone(&store));
        Ok(store)
    }
}

/// Shorter option values, such as `true`, are no secrets, and cutting them out would garble words.
const MIN_SECRET_BYTES: usize = 8;
