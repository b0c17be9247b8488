//! A dataset at one snapshot: its schema, and its objects cut into splits.

pub(crate) mod bounds;
pub(crate) mod int96;
pub(crate) mod partition;
pub(crate) mod schema;
pub(crate) mod statistics;
pub(crate) mod tables;

use std::{
    hash::{Hash, Hasher},
    sync::Arc,
};

use datafusion::{common::ScalarValue, datasource::table_schema::TableSchema};
use flightcache_cache::{Error, Result};
use flightcache_connectors::{Footer, Footers, Object, Snapshot, SplitRange, splits};
use futures::{StreamExt, TryStreamExt, stream};
use xxhash_rust::xxh3::Xxh3;

use crate::{table::int96::Int96Union, table::partition::Partitions, table::schema::SchemaUnion};

/// Footers read at a time while a table is built.
pub(crate) const FOOTERS_AT_ONCE: usize = 64;

/// A dataset at one snapshot.
#[derive(Debug)]
pub struct DatasetTable {
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) schema: TableSchema,
    pub(crate) objects: Vec<TableObject>,
    pub(crate) schemas: u64,
}

/// One object of a table.
#[derive(Debug)]
pub(crate) struct TableObject {
    pub(crate) object: Object,
    pub(crate) partition_values: Vec<ScalarValue>,
    pub(crate) splits: Vec<SplitRange>,
}

impl DatasetTable {
    /// Reads the footers of `snapshot` and unites their schemas.
    ///
    /// # Errors
    /// What reading a footer gives; `Data` naming the file whose schema cannot be reconciled.
    pub(crate) async fn build(snapshot: Arc<Snapshot>, footers: &Footers) -> Result<Self> {
        let partitions = Partitions::infer(
            &snapshot.partition_columns,
            snapshot.objects.iter().map(|object| object.partition_values.as_slice()),
        );
        let (mut union, mut int96) = (SchemaUnion::default(), Int96Union::default());
        let mut objects = Vec::with_capacity(snapshot.objects.len());
        let loads = snapshot.objects.iter().map(|object| load(footers, object));
        let mut loading = stream::iter(loads.collect::<Vec<_>>()).buffered(FOOTERS_AT_ONCE);
        while let Some((object, footer)) = loading.try_next().await? {
            union.add(&footer.schema, &object.id.path)?;
            int96.add(&footer);
            objects.push(TableObject {
                object: object.clone(),
                partition_values: partitions.values(&object.partition_values),
                splits: splits(&footer),
            });
        }
        drop(loading);
        let schemas = union.schemas();
        let file_schema = union.finish(&snapshot.partition_columns);
        let file_schema = int96.tell(file_schema, &snapshot.partition_columns);
        let schema = TableSchema::builder(file_schema)
            .with_table_partition_cols(partitions.fields().to_vec())
            .build();
        Ok(Self { snapshot, schema, objects, schemas })
    }

    /// The snapshot.
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// Every column, partition columns last.
    pub fn schema(&self) -> &arrow::datatypes::SchemaRef {
        self.schema.table_schema()
    }

    /// How many schemas its files have.
    pub fn schemas(&self) -> u64 {
        self.schemas
    }

    /// A digest of the schema, the same on every node: tables that share it mean the same by the
    /// same command.
    pub fn schema_digest(&self) -> u64 {
        let mut hasher = Xxh3::new();
        self.schema().hash(&mut hasher);
        hasher.finish()
    }

    /// Rows over all objects.
    pub fn rows(&self) -> u64 {
        self.objects.iter().flat_map(|object| &object.splits).map(|split| split.rows).sum()
    }

    /// The object of that path and version.
    ///
    /// # Errors
    /// `Stale` if this snapshot has no such object.
    pub(crate) fn object(&self, path: &str, etag: &str, size: u64) -> Result<&TableObject> {
        let at = self.objects.binary_search_by(|known| known.object.id.path.as_str().cmp(path));
        at.ok()
            .and_then(|at| self.objects.get(at))
            .filter(|known| known.object.id.etag == etag && known.object.id.size == size)
            .ok_or_else(|| {
                let snapshot = &self.snapshot.id;
                Error::stale(format!("{path} is not in snapshot {snapshot} in that version"))
            })
    }
}

async fn load<'a>(footers: &Footers, object: &'a Object) -> Result<(&'a Object, Arc<Footer>)> {
    footers.get(&object.id).await.map(|footer| (object, footer))
}
