//! A statement, and what it answers.

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::RecordBatch,
    datatypes::{DataType, Field, Schema, SchemaRef},
};
use datafusion::{
    common::{ParamValues, metadata::ScalarAndMetadata},
    execution::{SendableRecordBatchStream, TaskContext},
    logical_expr::LogicalPlan,
    physical_plan::{ExecutionPlan, execute_stream, stream::RecordBatchReceiverStreamBuilder},
    scalar::ScalarValue,
};
use flightcache_cache::{Error, Result};
use futures::StreamExt;

use super::{
    SqlSession, functions,
    interrupt::{Interrupt, heeding},
    literals::{self, BATCH_LITERAL_BYTES},
    memory::QueryMemory,
    results, shape,
};
use crate::{BatchStream, error::from_datafusion, scan::PlannedSplit, table::DatasetTable};

/// One statement, planned logically against datasets at one snapshot each.
#[derive(Debug)]
pub struct Statement {
    session: SqlSession,
    plan: LogicalPlan,
    schema: SchemaRef,
    parameters: SchemaRef,
    datasets: Vec<(String, Arc<DatasetTable>)>,
}

/// A statement that runs.
pub struct Query {
    /// The schema of every batch.
    pub schema: SchemaRef,
    /// Its rows. The work is done on the runtime that the query was executed on, and ends when they
    /// are dropped.
    pub batches: BatchStream,
    /// What it costs, while and after it runs.
    pub usage: QueryUsage,
}

/// What a query holds. `Clone` shares it.
#[derive(Clone, Debug)]
pub struct QueryUsage(Arc<QueryMemory>);

impl QueryUsage {
    /// Bytes that its sorts, joins and aggregations held at most.
    pub fn peak_memory_bytes(&self) -> u64 {
        self.0.peak() as u64
    }

    /// Bytes that they hold at this moment.
    pub fn memory_bytes(&self) -> u64 {
        self.0.held() as u64
    }
}

impl Statement {
    pub(super) async fn new(session: SqlSession, plan: LogicalPlan) -> Result<Self> {
        let datasets = session.datasets.resolved().await;
        let parameters = parameters(&plan)?;
        functions::count(&plan, &session.bounds).map_err(|error| from_datafusion(&error))?;
        // Types are final once the plan is optimized, which parameters of unknown type prevent.
        let optimized = if parameters.fields().is_empty() {
            session.state.optimize(&plan).map_err(|error| from_datafusion(&error))?
        } else {
            session.state.optimize(&plan).unwrap_or_else(|_| plan.clone())
        };
        let schema = results::plain_schema(optimized.schema().as_arrow());
        Ok(Self { session, plan, schema, parameters, datasets })
    }

    /// The schema of its answer.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Its parameters, `$1` first; `Null` is the type of one that could be anything.
    pub fn parameters(&self) -> &SchemaRef {
        &self.parameters
    }

    /// The snapshots that it reads, by dataset.
    pub fn snapshots(&self) -> BTreeMap<String, String> {
        self.datasets
            .iter()
            .map(|(name, table)| (name.clone(), table.snapshot().id.clone()))
            .collect()
    }

    /// The statement with its parameters' values, the columns of a batch of one row in order.
    ///
    /// # Errors
    /// `Invalid` if their number or types do not fit.
    pub fn bind(mut self, values: &RecordBatch) -> Result<Self> {
        let wanted = self.parameters.fields().len();
        if values.num_columns() != wanted || (wanted > 0 && values.num_rows() != 1) {
            return Err(Error::invalid(format!(
                "the statement has {wanted} parameters: bind one row of as many values, not {} of {}",
                values.num_rows(),
                values.num_columns()
            )));
        }
        if wanted == 0 {
            return Ok(self);
        }
        let values = values
            .columns()
            .iter()
            .zip(self.parameters.fields())
            .map(|(column, field)| parameter(&ScalarValue::try_from_array(column, 0), field))
            .collect::<Result<Vec<_>>>()?;
        self.plan = self
            .plan
            .with_param_values(ParamValues::List(values))
            .map_err(|error| from_datafusion(&error))?;
        self.parameters = Arc::new(Schema::empty());
        let optimized =
            self.session.state.optimize(&self.plan).map_err(|error| from_datafusion(&error))?;
        self.schema = results::plain_schema(optimized.schema().as_arrow());
        Ok(self)
    }

    /// The splits that the statement can be answered by one at a time, each by a session of that
    /// split; `None` where its rows depend on more than one of them.
    ///
    /// # Errors
    /// What reading a footer gives.
    pub async fn splits(&self) -> Result<Option<Vec<PlannedSplit>>> {
        if shape::depends_on_when(&self.plan).map_err(|error| from_datafusion(&error))? {
            return Ok(None);
        }
        let optimized =
            self.session.state.optimize(&self.plan).map_err(|error| from_datafusion(&error))?;
        let context = self.session.datasets.context();
        shape::splits(context, &self.session.state, &optimized).await
    }

    /// Runs it.
    ///
    /// # Errors
    /// `Invalid` if a parameter has no value or what it asks for cannot be planned.
    pub async fn execute(self) -> Result<Query> {
        let Self { session, plan, schema, parameters, .. } = self;
        if let Some(first) = parameters.fields().first() {
            return Err(Error::invalid(format!("parameter {} has no value", first.name())));
        }
        let mut state = session.state;
        let planned: datafusion::error::Result<Arc<dyn ExecutionPlan>> = async {
            let plan = state.optimize(&plan)?;
            let rows = literals::bytes(&plan)?;
            let rows = (BATCH_LITERAL_BYTES / rows.max(1)).clamp(1, state.config().batch_size());
            let config = state.config().clone().with_batch_size(rows);
            *state.config_mut() = config;
            state.query_planner().create_physical_plan(&plan, &state).await
        }
        .await;
        let interrupt = Interrupt::default();
        let task = TaskContext::from(&state).with_runtime(session.runtime);
        let batches = planned
            .and_then(|plan| heeding(plan, &interrupt))
            .and_then(|plan| execute_stream(plan, Arc::new(task)))
            .map_err(|error| from_datafusion(&error))?;
        let guard = interrupt.on_drop();
        let batches = results::plain(apart(batches), Arc::clone(&schema)).map(move |batch| {
            // Whoever drops the batches ends what makes them.
            let _held = &guard;
            batch.map_err(|error| from_datafusion(&error))
        });
        Ok(Query { schema, batches: batches.boxed(), usage: QueryUsage(session.memory) })
    }
}

/// The same batches, made by a task of their own: a plan may compute for long inside one poll, and
/// who waits for it must be free to stop waiting.
fn apart(mut batches: SendableRecordBatchStream) -> SendableRecordBatchStream {
    let mut task = RecordBatchReceiverStreamBuilder::new(batches.schema(), 1);
    let sender = task.tx();
    task.spawn(async move {
        while let Some(batch) = batches.next().await {
            if sender.send(batch).await.is_err() {
                break;
            }
        }
        Ok(())
    });
    task.build()
}

/// The placeholders of `plan` as fields, `$1` first.
fn parameters(plan: &LogicalPlan) -> Result<SchemaRef> {
    let fields = plan.get_parameter_fields().map_err(|error| from_datafusion(&error))?;
    let mut numbered = BTreeMap::new();
    for (name, field) in fields {
        let number = name.strip_prefix('$').and_then(|number| number.parse::<usize>().ok());
        let Some(number) = number.filter(|number| *number > 0) else {
            return Err(Error::invalid(format!(
                "parameter {name}: write parameters as `?`, or as `$1`, `$2`"
            )));
        };
        let data_type = field.map_or(DataType::Null, |field| field.data_type().clone());
        numbered.insert(number, Field::new(name, data_type, true));
    }
    if let Some((&last, _)) = numbered.last_key_value()
        && last != numbered.len()
    {
        return Err(Error::invalid(format!("parameter ${last} is used, but not all before it")));
    }
    Ok(results::plain_schema(&Schema::new(numbered.into_values().collect::<Vec<_>>())))
}

fn parameter(
    value: &datafusion::error::Result<ScalarValue>,
    field: &Field,
) -> Result<ScalarAndMetadata> {
    let unfit = |error: &datafusion::error::DataFusionError| {
        let error = from_datafusion(error);
        error.context(format!("parameter {}", field.name()))
    };
    let value = value.as_ref().map_err(unfit)?;
    let value = match field.data_type() {
        DataType::Null => value.clone(),
        wanted => value.cast_to(wanted).map_err(|error| unfit(&error))?,
    };
    Ok(ScalarAndMetadata::from(value))
}
