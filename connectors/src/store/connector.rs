//! The HTTP client of the stores: object_store's, with an eye on throttling.

use std::sync::Arc;

use async_trait::async_trait;
use object_store::{
    ClientOptions, Result as StoreResult,
    client::{
        HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService,
        ReqwestConnector,
    },
};

use crate::{OriginCounters, counters::add};

/// Makes HTTP clients that count answers 429 and 503, those that are retried included.
#[derive(Clone, Debug)]
pub(crate) struct Connector(pub(crate) Arc<OriginCounters>);

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> StoreResult<HttpClient> {
        let inner = ReqwestConnector::default().connect(options)?;
        Ok(HttpClient::new(Counted { inner, counters: Arc::clone(&self.0) }))
    }
}

#[derive(Debug)]
struct Counted {
    inner: HttpClient,
    counters: Arc<OriginCounters>,
}

#[async_trait]
impl HttpService for Counted {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let response = self.inner.execute(request).await?;
        if matches!(response.status().as_u16(), 429 | 503) {
            add(&self.counters.throttled, 1);
        }
        Ok(response)
    }
}
