//! The demo's data: TPC-H lineitem as Parquet, in a store that imitates Blob's latency.

use std::{sync::Arc, time::Duration};

use flightcache_cache::{Error, Result};
use object_store::{
    ObjectStore, ObjectStoreExt,
    memory::InMemory,
    path::Path,
    throttle::{ThrottleConfig, ThrottledStore},
};
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    file::properties::WriterProperties,
};
use tpchgen::generators::LineItemGenerator;
use tpchgen_arrow::{LineItemArrow, RecordBatchIterator};

/// Files the table is cut into.
const FILES: i32 = 4;
const ROW_GROUP_ROWS: usize = 128 * 1024;
/// Bytes per second of one request to the store.
const BYTES_PER_SECOND: u64 = 60_000_000;

/// The store and what is in it.
pub(super) struct Data {
    /// Waits before every request and for every byte.
    pub(super) store: Arc<dyn ObjectStore>,
    /// Bytes of Parquet.
    pub(super) bytes: u64,
}

/// Generates lineitem at `scale`.
///
/// # Errors
/// `Internal` if the table cannot be written.
pub(super) async fn generate(scale: f64, latency: Duration) -> Result<Data> {
    let memory = InMemory::new();
    let mut bytes = 0;
    let parts: Vec<_> =
        (1..=FILES).map(|part| tokio::task::spawn_blocking(move || write(scale, part))).collect();
    for (part, written) in parts.into_iter().enumerate() {
        let parquet = written
            .await
            .map_err(|error| Error::internal("generating data failed").with_source(error))??;
        bytes += parquet.len() as u64;
        memory
            .put(&Path::from(format!("lineitem/part-{part}.parquet")), parquet.into())
            .await
            .map_err(|error| Error::internal("storing data failed").with_source(error))?;
    }
    let wait = ThrottleConfig {
        wait_get_per_call: latency,
        wait_list_per_call: latency,
        wait_get_per_byte: Duration::from_nanos(1_000_000_000 / BYTES_PER_SECOND),
        ..ThrottleConfig::default()
    };
    Ok(Data { store: Arc::new(ThrottledStore::new(memory, wait)), bytes })
}

fn write(scale: f64, part: i32) -> Result<Vec<u8>> {
    let failed = |error| Error::internal("writing Parquet failed").with_source(error);
    let batches = LineItemArrow::new(LineItemGenerator::new(scale, part, FILES));
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .build();
    let schema = Arc::clone(batches.schema());
    let mut writer = ArrowWriter::try_new(Vec::new(), schema, Some(properties)).map_err(failed)?;
    for batch in batches {
        writer.write(&batch).map_err(failed)?;
    }
    writer.into_inner().map_err(failed)
}
