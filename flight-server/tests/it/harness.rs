//! A node in this process over a store in memory, and the same store read from outside of it.

use std::{future::pending, net::SocketAddr, sync::Arc, time::Duration};

use arrow::array::RecordBatch;
use flightcache_cache::{ChunkSource, FetchRequest, ObjectId};
use flightcache_connectors::{
    Dataset, FooterOrigin, Footers, OriginCounters, OriginSettings, ParquetOrigin, Stores,
};
use flightcache_flight_server::{
    config::{AuthConfig, Config, DatasetConfig, DatasetFormat},
    serve::{Embedded, Running, cpu_runtime, io_runtime},
};
use flightcache_planner::remote::{Connection, RemoteSettings, RemoteSource};
use object_store::{ObjectStore, ObjectStoreExt, memory::InMemory, path::Path};
use parquet::{arrow::ArrowWriter, file::properties::WriterProperties};
use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpStream},
    runtime::Handle,
};

pub(crate) const PREFIX: &str = "test://store";

/// Origin that falls back where the node gives nothing.
pub(crate) type Remote = RemoteSource<Arc<ParquetOrigin>>;

/// A node that serves `test://store/data/` as `data`.
pub(crate) struct Node {
    pub(crate) running: Running,
    config: Config,
}

impl Node {
    /// A node that lists its dataset anew after `revalidate_after`, open to everybody.
    pub(crate) async fn start(
        store: &Arc<InMemory>,
        revalidate_after: Duration,
        cpu: &Handle,
    ) -> Self {
        Self::secured(store, revalidate_after, cpu, None).await
    }

    /// A node that lets in whom `auth` lets in.
    pub(crate) async fn secured(
        store: &Arc<InMemory>,
        revalidate_after: Duration,
        cpu: &Handle,
        auth: Option<AuthConfig>,
    ) -> Self {
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut config = Config::default();
        config.server.listen = any_port;
        config.server.admin_listen = any_port;
        config.server.drain_timeout = Duration::ZERO;
        config.cache.memory = 256 << 20;
        config.auth = auth;
        config.datasets.push(DatasetConfig {
            name: "data".to_owned(),
            url: format!("{PREFIX}/data/"),
            format: DatasetFormat::Parquet,
            revalidate_after,
        });
        let store = Arc::clone(store) as Arc<dyn ObjectStore>;
        let embedded = Embedded { prefix: PREFIX.to_owned(), store };
        let running = Running::start(&config, Some(embedded), &Handle::current(), cpu).await;
        Self { running: running.unwrap(), config }
    }

    pub(crate) fn settings(&self) -> RemoteSettings {
        settings(&format!("grpc://{}", self.running.flight))
    }

    /// Ends the node, streams that are open included.
    pub(crate) async fn stop(self) {
        self.running.stop(&self.config).await.unwrap();
    }
}

pub(crate) fn settings(url: &str) -> RemoteSettings {
    RemoteSettings::new(Connection::new(url, None).unwrap())
}

/// The store as a program reads it that has no node in it.
pub(crate) struct Local {
    pub(crate) counters: Arc<OriginCounters>,
    pub(crate) origin: Arc<ParquetOrigin>,
    pub(crate) footers: Arc<Footers>,
    stores: Arc<Stores>,
}

impl Local {
    pub(crate) fn new(store: &Arc<InMemory>) -> Self {
        let counters = Arc::new(OriginCounters::default());
        let stores = Stores::new(Vec::new(), OriginSettings::default(), Arc::clone(&counters));
        let stores = Arc::new(stores.unwrap());
        stores.register(PREFIX, Arc::clone(store) as Arc<dyn ObjectStore>);
        let cpu = Handle::current();
        let raw = Arc::new(FooterOrigin::new(Arc::clone(&stores), cpu.clone()));
        let footers = Arc::new(Footers::new(Arc::clone(&stores), raw, 1 << 20, cpu.clone()));
        let origin = ParquetOrigin::new(Arc::clone(&footers), Arc::clone(&stores), cpu, 2);
        Self { counters, origin: Arc::new(origin), footers, stores }
    }

    pub(crate) fn remote(&self, settings: &RemoteSettings) -> Remote {
        RemoteSource::new(settings, Arc::clone(&self.footers), Arc::clone(&self.origin)).unwrap()
    }

    /// The version of the object at `path` that there is.
    pub(crate) async fn object(&self, path: &str) -> Arc<ObjectId> {
        let url = format!("{PREFIX}/{}", path.replace('%', "%25"));
        let stores = Arc::clone(&self.stores);
        let dataset = Dataset::new("one", url, Duration::ZERO, stores).unwrap();
        Arc::clone(&dataset.snapshot().await.unwrap().objects[0].id)
    }

    /// Data requests so far.
    pub(crate) fn requests(&self) -> u64 {
        self.counters.snapshot().requests
    }
}

/// Writes `batch` to `path` in row groups of `rows`.
pub(crate) async fn write(store: &InMemory, path: &str, batch: &RecordBatch, rows: usize) {
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(rows)).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
    writer.write(batch).unwrap();
    put(store, path, writer.into_inner().unwrap()).await;
}

pub(crate) async fn put(store: &InMemory, path: &str, bytes: Vec<u8>) {
    store.put(&Path::parse(path).unwrap(), bytes.into()).await.unwrap();
}

/// Fetches `request` from `remote` and compares what comes with what the files hold.
pub(crate) async fn compare(remote: &Remote, local: &Local, request: &FetchRequest) {
    let (found, expected) = tokio::join!(remote.fetch(request), local.origin.fetch(request));
    assert_eq!(found.unwrap(), expected.unwrap(), "{request:?}");
}

/// Where `node` is reached until it has said `most` bytes, and then says nothing more.
pub(crate) async fn stalling(node: SocketAddr, most: u64) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut asks, mut told) = client.into_split();
                let (says, mut hears) = TcpStream::connect(node).await.unwrap().into_split();
                let asking = tokio::io::copy(&mut asks, &mut hears);
                let telling = async {
                    tokio::io::copy(&mut says.take(most), &mut told).await.unwrap();
                    pending::<()>().await;
                };
                tokio::select! {
                    _ = asking => {}
                    () = telling => {}
                }
            });
        }
    });
    address
}

/// Runs `test` on the runtime of a node's I/O and of its clients, with that of a node's work.
pub(crate) fn on_runtimes<F: Future<Output = ()>>(test: impl FnOnce(Handle) -> F) {
    let (io, cpu) = (io_runtime().unwrap(), cpu_runtime().unwrap());
    io.block_on(test(cpu.handle().clone()));
    io.shutdown_background();
    cpu.shutdown_background();
}
