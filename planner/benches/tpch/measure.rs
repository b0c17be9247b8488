//! What work costs this process.

use std::time::Instant;

use datafusion::prelude::SessionContext;
use futures::StreamExt;

/// Wall and CPU seconds.
#[derive(Clone, Copy, Default)]
pub(crate) struct Cost {
    pub(crate) wall: f64,
    pub(crate) cpu: f64,
}

/// What `work` costs.
pub(crate) async fn cost<T>(work: impl Future<Output = T>) -> Cost {
    let (wall, cpu) = (Instant::now(), cpu_seconds());
    std::hint::black_box(work.await);
    Cost { wall: wall.elapsed().as_secs_f64(), cpu: cpu_seconds() - cpu }
}

/// The medians of wall and of CPU seconds.
pub(crate) fn median(costs: Vec<Cost>) -> Cost {
    let middle = |of: fn(&Cost) -> f64| {
        let mut values: Vec<f64> = costs.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    Cost { wall: middle(|cost| cost.wall), cpu: middle(|cost| cost.cpu) }
}

/// Runs `sql` and counts its rows.
pub(crate) async fn rows(context: &SessionContext, sql: &str) -> usize {
    let mut stream = context.sql(sql).await.unwrap().execute_stream().await.unwrap();
    let mut rows = 0;
    while let Some(batch) = stream.next().await {
        rows += batch.unwrap().num_rows();
    }
    rows
}

/// CPU seconds of this process, user and system.
fn cpu_seconds() -> f64 {
    /// What Linux counts them in, a second.
    const TICKS: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks = |at: usize| fields[at].parse::<f64>().unwrap();
    (ticks(11) + ticks(12)) / TICKS
}
