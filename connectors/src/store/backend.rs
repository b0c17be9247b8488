//! Opens object stores: the one file that names clouds and their options.

use std::{str::FromStr, sync::Arc};

use flightcache_cache::{Error, Result};
use object_store::{
    ClientConfigKey, ObjectStore, Result as StoreResult,
    aws::{AmazonS3Builder, AmazonS3ConfigKey},
    azure::{AzureConfigKey, MicrosoftAzureBuilder},
    gcp::{GoogleCloudStorageBuilder, GoogleConfigKey},
    http::HttpBuilder,
    local::LocalFileSystem,
};
use url::Url;

use super::{
    address::{Address, Cloud, redact, split_account},
    connector::Connector,
};
use crate::{OriginSettings, StoreSettings};

/// Azurite's account and key, which are public and the same everywhere.
const EMULATOR_ACCOUNT: &str = "devstoreaccount1";
const EMULATOR_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// How to open one container.
///
/// Made without requests, so that two spellings of a container can be compared before it is opened.
pub(crate) struct Plan {
    /// The address with what settings and environment add to it.
    pub(crate) address: Address,
    /// Authority of the endpoint, where it is not the cloud's own.
    pub(crate) endpoint: Option<String>,
    builder: Builder,
}

enum Builder {
    Azure(MicrosoftAzureBuilder),
    S3(AmazonS3Builder),
    Gcs(GoogleCloudStorageBuilder),
    Http(HttpBuilder),
    File,
}

impl Plan {
    /// Takes options from `settings`, and from the environment what they leave open. Settings
    /// that carry credentials are taken alone, so that a key of the environment is not mixed in.
    ///
    /// # Errors
    /// `Invalid` naming an unknown option, or what is missing.
    pub(crate) fn new(
        address: Address,
        settings: &StoreSettings,
        origin: &OriginSettings,
    ) -> Result<Self> {
        match address.cloud {
            Cloud::Azure => azure(address, settings, origin),
            Cloud::S3 => Ok(s3(address, settings, origin)?),
            Cloud::Gcs => {
                let builder: GoogleCloudStorageBuilder = configure(settings, origin)?;
                let builder = builder.with_bucket_name(container(&address)?);
                let endpoint = authority(builder.get_config_value(&GoogleConfigKey::BaseUrl));
                Ok(Self { address, endpoint, builder: Builder::Gcs(builder) })
            }
            Cloud::Http | Cloud::Https => {
                let scheme = if address.cloud == Cloud::Http { "http" } else { "https" };
                let url = format!("{scheme}://{}", container(&address)?);
                let mut builder: HttpBuilder = configure(settings, origin)?;
                if address.cloud == Cloud::Http {
                    builder = builder.with_config(ClientConfigKey::AllowHttp, "true");
                }
                let builder = Builder::Http(builder.with_url(url));
                Ok(Self { address, endpoint: None, builder })
            }
            Cloud::File => match settings.options.keys().next() {
                Some(name) => Err(unknown(name, settings)),
                None => Ok(Self { address, endpoint: None, builder: Builder::File }),
            },
        }
    }

    /// Opens the container. Sends no request either.
    pub(crate) fn open(
        self,
        origin: &OriginSettings,
        connector: Connector,
    ) -> StoreResult<Arc<dyn ObjectStore>> {
        let retry = object_store::RetryConfig {
            max_retries: origin.max_retries,
            retry_timeout: origin.retry_timeout,
            ..Default::default()
        };
        Ok(match self.builder {
            Builder::Azure(builder) => {
                Arc::new(builder.with_retry(retry).with_http_connector(connector).build()?)
            }
            Builder::S3(builder) => {
                Arc::new(builder.with_retry(retry).with_http_connector(connector).build()?)
            }
            Builder::Gcs(builder) => {
                Arc::new(builder.with_retry(retry).with_http_connector(connector).build()?)
            }
            Builder::Http(builder) => {
                Arc::new(builder.with_retry(retry).with_http_connector(connector).build()?)
            }
            Builder::File => Arc::new(LocalFileSystem::new()),
        })
    }
}

/// Checks the options of `settings`, and adds to its prefix the account that they name.
///
/// # Errors
/// `Invalid` naming an unknown option.
pub(crate) fn complete(
    mut prefix: Address,
    settings: &StoreSettings,
    origin: &OriginSettings,
) -> Result<Address> {
    match prefix.cloud {
        Cloud::Azure => {
            let builder: MicrosoftAzureBuilder = configure(settings, origin)?;
            prefix.account = account(&prefix, &builder);
        }
        Cloud::S3 => drop(configure::<AmazonS3Builder>(settings, origin)?),
        Cloud::Gcs => drop(configure::<GoogleCloudStorageBuilder>(settings, origin)?),
        Cloud::Http | Cloud::Https => drop(configure::<HttpBuilder>(settings, origin)?),
        Cloud::File => drop(Plan::new(prefix.clone(), settings, origin)?),
    }
    Ok(prefix)
}

fn account(address: &Address, builder: &MicrosoftAzureBuilder) -> Option<String> {
    let given = || builder.get_config_value(&AzureConfigKey::AccountName);
    let emulated = || emulated(builder).then(|| EMULATOR_ACCOUNT.to_owned());
    address.account.clone().or_else(given).or_else(emulated)
}

fn emulated(builder: &MicrosoftAzureBuilder) -> bool {
    builder.get_config_value(&AzureConfigKey::UseEmulator).as_deref() == Some("true")
}

fn azure(mut address: Address, settings: &StoreSettings, origin: &OriginSettings) -> Result<Plan> {
    let mut builder: MicrosoftAzureBuilder = configure(settings, origin)?;
    let emulated = emulated(&builder);
    let account = account(&address, &builder).ok_or_else(|| {
        Error::invalid(format!(
            "no account for azure container {}: name it in the url, as account_name in the \
             options of [[store]], or in AZURE_STORAGE_ACCOUNT_NAME",
            address.container.as_deref().unwrap_or_default()
        ))
    })?;
    let (name, domain) = split_account(&account);
    let endpoint = builder.get_config_value(&AzureConfigKey::Endpoint);
    builder = builder.with_account(name).with_container_name(container(&address)?);
    builder = match (&endpoint, domain) {
        // object_store reads the emulator's endpoint from the environment only.
        (Some(url), _) if emulated => emulator(builder, url, name),
        (None, Some("fabric.microsoft.com")) => builder.with_use_fabric_endpoint(true),
        (None, Some(domain)) => builder.with_endpoint(format!("https://{name}.blob.{domain}")),
        _ => builder,
    };
    address.account = Some(account);
    Ok(Plan { address, endpoint: authority(endpoint), builder: Builder::Azure(builder) })
}

/// Azurite at `url`, which may end with the account already.
fn emulator(builder: MicrosoftAzureBuilder, url: &str, account: &str) -> MicrosoftAzureBuilder {
    let url = url.trim_end_matches('/');
    let url = url.strip_suffix(account).map_or(url, |url| url.trim_end_matches('/'));
    let keyed = [AzureConfigKey::AccessKey, AzureConfigKey::SasKey, AzureConfigKey::Token]
        .iter()
        .any(|key| builder.get_config_value(key).is_some());
    let builder = if keyed { builder } else { builder.with_access_key(EMULATOR_KEY) };
    let endpoint = format!("{url}/{account}");
    builder.with_use_emulator(false).with_endpoint(endpoint).with_allow_http(true)
}

fn s3(address: Address, settings: &StoreSettings, origin: &OriginSettings) -> Result<Plan> {
    let builder: AmazonS3Builder = configure(settings, origin)?;
    let builder = builder.with_bucket_name(container(&address)?);
    let endpoint = builder
        .get_config_value(&AmazonS3ConfigKey::S3Endpoint)
        .or_else(|| builder.get_config_value(&AmazonS3ConfigKey::Endpoint));
    Ok(Plan { address, endpoint: authority(endpoint), builder: Builder::S3(builder) })
}

fn container(address: &Address) -> Result<&str> {
    let missing = || Error::invalid(format!("a {:?} url names no container", address.cloud));
    address.container.as_deref().ok_or_else(missing)
}

fn authority(endpoint: Option<String>) -> Option<String> {
    let url = Url::parse(&endpoint?).ok()?;
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    Some(format!("{}{port}", url.host_str()?))
}

fn unknown(name: &str, settings: &StoreSettings) -> Error {
    let prefix = redact(&settings.prefix);
    Error::invalid(format!("store {prefix}: unknown option {name:?} for this kind of store"))
}

/// What the builders of object_store have in common.
trait Configure: Sized {
    type Key: FromStr + Copy;
    fn bare() -> Self;
    fn environment() -> Self;
    fn set(self, key: Self::Key, value: &str) -> Self;
    /// Whether an option of this key says how to sign, without more from elsewhere.
    fn signs(key: Self::Key) -> bool;
}

fn configure<B: Configure>(settings: &StoreSettings, origin: &OriginSettings) -> Result<B> {
    let mut options = Vec::new();
    for (name, value) in &settings.options {
        let key = B::Key::from_str(&name.to_ascii_lowercase());
        options.push((key.map_err(|_| unknown(name, settings))?, value));
    }
    let whole = options.iter().any(|(key, _)| B::signs(*key));
    let mut builder = if whole { B::bare() } else { B::environment() };
    let timeout = format!("{}ms", origin.request_timeout.as_millis());
    // A plain-text endpoint that an operator wrote down is meant.
    let plain = settings.options.iter().any(|(name, value)| {
        let named = name.to_ascii_lowercase();
        (named.contains("endpoint") || named.contains("base_url")) && value.starts_with("http://")
    });
    for (name, value) in [("timeout", Some(timeout)), ("allow_http", plain.then(|| "true".into()))]
    {
        if let (Ok(key), Some(value)) = (B::Key::from_str(name), value) {
            builder = builder.set(key, &value);
        }
    }
    Ok(options.into_iter().fold(builder, |builder, (key, value)| builder.set(key, value)))
}

macro_rules! builders {
    ($($builder:ty, $key:ty, $environment:expr, signs if $signs:pat),*) => {$(
        impl Configure for $builder {
            type Key = $key;
            fn bare() -> Self {
                Self::new()
            }
            fn environment() -> Self {
                $environment
            }
            fn set(self, key: Self::Key, value: &str) -> Self {
                self.with_config(key, value)
            }
            fn signs(key: Self::Key) -> bool {
                matches!(key, $signs)
            }
        }
    )*};
}

builders! {
    MicrosoftAzureBuilder, AzureConfigKey, Self::from_env(), signs if
        AzureConfigKey::AccessKey | AzureConfigKey::SasKey | AzureConfigKey::Token
            | AzureConfigKey::UseEmulator | AzureConfigKey::SkipSignature
            | AzureConfigKey::UseAzureCli | AzureConfigKey::ClientSecret,
    AmazonS3Builder, AmazonS3ConfigKey, Self::from_env(), signs if
        AmazonS3ConfigKey::SecretAccessKey | AmazonS3ConfigKey::SkipSignature,
    GoogleCloudStorageBuilder, GoogleConfigKey, Self::from_env(), signs if
        GoogleConfigKey::ServiceAccount | GoogleConfigKey::ServiceAccountKey
            | GoogleConfigKey::ApplicationCredentials | GoogleConfigKey::SkipSignature,
    HttpBuilder, ClientConfigKey, Self::new(), signs if ClientConfigKey::UserAgent
}
