//! System tables: what an operator asks of a node in SQL, limited to what the caller may read.

mod chunks;
mod datasets;
mod figures;

use std::{fmt, sync::Arc};

use arrow::{
    array::{ArrayRef, RecordBatch},
    datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit},
};
use async_trait::async_trait;
use flightcache_cache::{Error, Result};
use flightcache_planner::sql::SystemTable;
use futures::future::{BoxFuture, ready};

use crate::{auth::Caller, node::Node};

/// Rows of a batch at most, which bounds its size.
const BATCH_ROWS: usize = 8192;

/// Gathers the rows of a table.
type Gather = fn(Arc<Node>, Caller) -> BoxFuture<'static, Result<Vec<Vec<ArrayRef>>>>;

/// The system tables, as `caller` may see them.
pub(crate) fn system_tables(node: &Arc<Node>, caller: &Caller) -> Vec<Arc<dyn SystemTable>> {
    let table = |name, fields: Vec<Field>, gather: Gather| -> Arc<dyn SystemTable> {
        let (node, caller) = (Arc::clone(node), caller.clone());
        Arc::new(Table { name, schema: Arc::new(Schema::new(fields)), gather, node, caller })
    };
    vec![
        table("chunks", chunks::fields(), |node, caller| Box::pin(chunks::rows(node, caller))),
        table("datasets", datasets::fields(), |node, caller| {
            Box::pin(datasets::rows(node, caller))
        }),
        table("metrics", figures::metric_fields(), |node, caller| {
            Box::pin(ready(figures::metrics(&node, &caller)))
        }),
        table("objects", datasets::object_fields(), |node, caller| {
            Box::pin(datasets::objects(node, caller))
        }),
        table("queries", figures::query_fields(), |node, caller| {
            Box::pin(ready(Ok(figures::queries(&node, &caller))))
        }),
    ]
}

struct Table {
    name: &'static str,
    schema: SchemaRef,
    gather: Gather,
    node: Arc<Node>,
    caller: Caller,
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("name", &self.name).finish_non_exhaustive()
    }
}

#[async_trait]
impl SystemTable for Table {
    fn name(&self) -> &'static str {
        self.name
    }

    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    async fn read(&self) -> Result<Vec<RecordBatch>> {
        let batches = (self.gather)(Arc::clone(&self.node), self.caller.clone()).await?;
        let batch = |columns| {
            RecordBatch::try_new(self.schema(), columns)
                .map_err(|error| Error::internal("a system table is broken").with_source(error))
        };
        batches.into_iter().map(batch).collect()
    }
}

fn text(name: &str) -> Field {
    Field::new(name, DataType::Utf8, false)
}

fn count(name: &str) -> Field {
    Field::new(name, DataType::Int64, false)
}

fn time(name: &str) -> Field {
    let utc = Some(Arc::from("UTC"));
    Field::new(name, DataType::Timestamp(TimeUnit::Millisecond, utc), false)
}

/// A figure as SQL has it, which knows signed numbers best.
fn signed(figure: u64) -> i64 {
    i64::try_from(figure).unwrap_or(i64::MAX)
}
