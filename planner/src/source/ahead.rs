//! Reading ahead under a budget.

use std::{collections::VecDeque, sync::Arc};

use futures::{Stream, StreamExt, stream, stream::FuturesOrdered};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Items of one stream that are fetched at a time, at most.
const MOST: usize = 32;
/// More are begun when no more than these are left: several begun together can be read from the
/// origin in one request.
const REFILL_AT: usize = MOST / 2;

/// A budget that all streams share for what they fetch before they need it. `Clone` shares it.
///
/// What a stream needs next is fetched outside this budget, so streams that read ahead can never
/// keep each other from going on; when the budget is spent they only stop reading ahead.
#[derive(Clone, Debug)]
pub(crate) struct LookAhead {
    kib: Arc<Semaphore>,
}

impl LookAhead {
    /// A budget of `bytes`.
    pub(crate) fn new(bytes: u64) -> Self {
        let kib = usize::try_from(bytes >> 10).unwrap_or(usize::MAX);
        Self { kib: Arc::new(Semaphore::new(kib.min(Semaphore::MAX_PERMITS))) }
    }

    fn take(&self, bytes: u64) -> Option<OwnedSemaphorePermit> {
        let kib = u32::try_from(bytes.div_ceil(1024)).ok()?;
        Arc::clone(&self.kib).try_acquire_many_owned(kib).ok()
    }

    /// Fetches `items`, each with the bytes it will take, and yields what they give in order.
    pub(crate) fn fetch<T, Fut>(
        self,
        items: Vec<(T, u64)>,
        fetch: impl Fn(T) -> Fut + Send + 'static,
    ) -> impl Stream<Item = Fut::Output> + Send + 'static
    where
        T: Send + 'static,
        Fut: Future + Send + 'static,
        Fut::Output: Send + 'static,
    {
        let begin = move |item, permit: Option<OwnedSemaphorePermit>| {
            let fetching = fetch(item);
            async move { (fetching.await, permit) }
        };
        let state = (VecDeque::from(items), FuturesOrdered::new(), begin);
        stream::unfold(state, move |(mut waiting, mut running, begin)| {
            let budget = self.clone();
            async move {
                let refill = running.len() <= REFILL_AT;
                while refill && running.len() < MOST {
                    let Some((item, bytes)) = waiting.pop_front() else { break };
                    let needed = running.is_empty();
                    let permit = if needed { None } else { budget.take(bytes) };
                    if !needed && permit.is_none() {
                        waiting.push_front((item, bytes));
                        break;
                    }
                    running.push_back(begin(item, permit));
                }
                let mut done = running.next().await?;
                // The permit is given back here: what is yielded is needed, not ahead.
                drop(done.1.take());
                Some((done.0, (waiting, running, begin)))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures::FutureExt;

    use super::*;

    fn numbers(budget: &LookAhead, of: u64, begun: &Arc<Mutex<u64>>) -> impl Stream<Item = u64> {
        let begun = Arc::clone(begun);
        budget.clone().fetch((0..of).map(|item| (item, 1024)).collect(), move |item| {
            *begun.lock().unwrap() += 1;
            async move { item }
        })
    }

    #[tokio::test]
    async fn everything_comes_in_order_with_and_without_a_budget() {
        for bytes in [0, 1024, 3 * 1024, 1 << 20] {
            let budget = LookAhead::new(bytes);
            let found: Vec<u64> = numbers(&budget, 100, &Arc::default()).collect().await;
            assert_eq!(found, (0..100).collect::<Vec<_>>());
            assert_eq!(budget.kib.available_permits() as u64, bytes >> 10, "all given back");
        }
    }

    #[tokio::test]
    async fn a_spent_budget_stops_reading_ahead_and_nothing_else() {
        let budget = LookAhead::new(2 * 1024);
        let (first, second) = (Arc::default(), Arc::default());
        let mut greedy = Box::pin(numbers(&budget, 10, &first));
        assert_eq!(greedy.next().await, Some(0));
        assert_eq!(*first.lock().unwrap(), 3, "one that is needed and two ahead");
        let mut other = Box::pin(numbers(&budget, 10, &second));
        assert_eq!(other.next().now_or_never(), Some(Some(0)));
        assert_eq!(*second.lock().unwrap(), 1, "nothing ahead");
        drop(greedy);
        assert_eq!(other.next().await, Some(1));
        assert_eq!(*second.lock().unwrap(), 4);
    }
}
