//! What the tests of this crate share: stores in memory, and Parquet files to put there.

use std::{sync::Arc, time::Duration};

use arrow::{array::ArrayRef, record_batch::RecordBatch};
use bytes::Bytes;
use flightcache_cache::ObjectId;
use object_store::{ObjectStore, ObjectStoreExt, memory::InMemory, path::Path};
use parquet::{
    arrow::ArrowWriter,
    data_type::{Int32Type, Int96, Int96Type},
    file::{properties::WriterProperties, writer::SerializedFileWriter},
    schema::parser::parse_message_type,
};
use tokio::runtime::Handle;

use crate::{
    Dataset, FooterOrigin, Footers, OriginCounters, OriginCounts, OriginSettings, ParquetOrigin,
    Snapshot, Stores,
};

/// A store in memory at `mem://bucket`, and an origin over it.
pub(crate) struct World {
    pub(crate) memory: Arc<InMemory>,
    pub(crate) stores: Arc<Stores>,
    pub(crate) footers: Arc<Footers>,
    pub(crate) origin: ParquetOrigin,
}

impl World {
    pub(crate) fn new(settings: OriginSettings) -> Self {
        let memory = Arc::new(InMemory::new());
        let stores = stores(settings);
        stores.register("mem://bucket", Arc::clone(&memory) as Arc<dyn ObjectStore>);
        let raw = Arc::new(FooterOrigin::new(Arc::clone(&stores), Handle::current()));
        let footers = Footers::new(Arc::clone(&stores), raw, 64 << 20, Handle::current());
        let footers = Arc::new(footers);
        let (shared, cpu) = (Arc::clone(&stores), Handle::current());
        let origin = ParquetOrigin::new(Arc::clone(&footers), shared, cpu, 2);
        Self { memory, stores, footers, origin }
    }

    pub(crate) async fn put(&self, path: &str, bytes: impl Into<Bytes>) {
        let path = Path::parse(path).unwrap();
        self.memory.put(&path, bytes.into().into()).await.unwrap();
    }

    /// Puts `bytes` there and gives the version's id.
    pub(crate) async fn object(&self, path: &str, bytes: impl Into<Bytes>) -> Arc<ObjectId> {
        self.put(path, bytes).await;
        let snapshot = self.list(&format!("mem://bucket/{path}")).await;
        Arc::clone(&snapshot.objects[0].id)
    }

    pub(crate) fn dataset(&self, url: &str, revalidate_after: Duration) -> Dataset {
        Dataset::new("data", url, revalidate_after, Arc::clone(&self.stores)).unwrap()
    }

    pub(crate) async fn list(&self, url: &str) -> Arc<Snapshot> {
        self.dataset(url, Duration::ZERO).snapshot().await.unwrap()
    }

    pub(crate) fn counts(&self) -> OriginCounts {
        self.stores.counters().snapshot()
    }
}

/// Settings that give up at once.
pub(crate) fn impatient() -> OriginSettings {
    let retry_timeout = Duration::ZERO;
    OriginSettings { max_retries: 0, retry_timeout, ..OriginSettings::default() }
}

pub(crate) fn stores(settings: OriginSettings) -> Arc<Stores> {
    Arc::new(Stores::new(Vec::new(), settings, Arc::new(OriginCounters::default())).unwrap())
}

/// A Parquet file of these columns, in row groups of `rows_per_group`.
pub(crate) fn parquet(columns: Vec<(&str, ArrayRef)>, rows_per_group: usize) -> Bytes {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(rows_per_group));
    write(&batch, properties.build())
}

pub(crate) fn write(batch: &RecordBatch, properties: WriterProperties) -> Bytes {
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).unwrap();
    // The writer recurses once for each row group that a batch fills.
    let step = batch.num_rows().div_ceil(64).max(1);
    for start in (0..batch.num_rows()).step_by(step) {
        writer.write(&batch.slice(start, step.min(batch.num_rows() - start))).unwrap();
    }
    writer.close().unwrap();
    bytes.into()
}

/// A file of `ts`, all INT96, and `events`, lists of structs of an INT96 `at` and a number: what Spark
/// writes. Each row is a day and nanoseconds in it, or null, and stands in both.
pub(crate) fn int96(rows: &[Option<(i32, i64)>]) -> Bytes {
    let schema = parse_message_type(
        "message spark_schema { optional int96 ts; optional group events (LIST) {
            repeated group list { optional group element { optional int96 at; required int32 n; } } } }",
    );
    let properties = Arc::new(WriterProperties::builder().build());
    let schema = Arc::new(schema.unwrap());
    let mut file = SerializedFileWriter::new(Vec::new(), schema, properties).unwrap();
    let mut group = file.next_row_group().unwrap();
    let values = rows.iter().flatten().map(|(day, nanos)| {
        let nanos = nanos.cast_unsigned();
        let mut value = Int96::new();
        value.set_data(nanos as u32, (nanos >> 32) as u32, day.cast_unsigned());
        value
    });
    let values: Vec<Int96> = values.collect();
    for depth in [1, 4] {
        let levels: Vec<i16> = rows.iter().map(|row| depth - i16::from(row.is_none())).collect();
        let starts = vec![0; rows.len()];
        let mut column = group.next_column().unwrap().unwrap();
        let typed = column.typed::<Int96Type>();
        typed
            .write_batch(&values, Some(&levels), (depth > 1).then_some(starts.as_slice()))
            .unwrap();
        column.close().unwrap();
    }
    let mut column = group.next_column().unwrap().unwrap();
    let (numbers, levels, starts) = (vec![7; rows.len()], vec![3; rows.len()], vec![0; rows.len()]);
    column.typed::<Int32Type>().write_batch(&numbers, Some(&levels), Some(&starts)).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    file.into_inner().unwrap().into()
}
