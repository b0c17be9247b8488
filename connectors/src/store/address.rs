//! Where a URL points: cloud, account, container and path. Pure text, no requests.
//!
//! Several spellings name one container; an [`Address`] is what they have in common.

use flightcache_cache::{Error, ObjectId, Result};
use percent_encoding::percent_decode_str;
use url::Url;

/// The domain of Azure accounts whose URL does not say another.
const AZURE_DOMAIN: &str = "core.windows.net";

/// The kinds of stores that are opened from a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Cloud {
    Azure,
    S3,
    Gcs,
    Http,
    Https,
    File,
}

/// Where a URL points.
///
/// `account` is Azure's, with its domain where that is not Azure's public cloud; `container` is
/// the bucket, or the authority of an HTTP URL. Both are absent from prefixes that cover several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) cloud: Cloud,
    pub(crate) account: Option<String>,
    pub(crate) container: Option<String>,
    /// Unescaped, without slashes at its ends.
    pub(crate) path: String,
    /// The URL ends with a slash, or has no path: it can only be a folder.
    pub(crate) folder: bool,
}

impl Address {
    /// Reads a URL, or an absolute path of this machine.
    ///
    /// # Errors
    /// `Invalid` naming the URL, without its query, if it is malformed or of an unknown scheme.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        if text.starts_with('/') {
            return Ok(Self::new(Cloud::File, None, None, text));
        }
        let wrong = |why: &str| Error::invalid(format!("url {}: {why}", redact(text)));
        let bare = text.split_once("://").filter(|(_, rest)| rest.is_empty());
        if let Some((scheme, _)) = bare {
            let cloud = cloud(scheme).ok_or_else(|| wrong("unknown scheme"))?;
            return Ok(Self::new(cloud, None, None, ""));
        }
        let url = Url::parse(text).map_err(|error| wrong(&error.to_string()))?;
        if url.query().is_some() || url.fragment().is_some() || url.password().is_some() {
            return Err(wrong(
                "a query, fragment or password is not taken from a url: write credentials as \
                 options of a [[store]], and percent-encode ? and # in names",
            ));
        }
        let cloud = cloud(url.scheme()).ok_or_else(|| wrong("unknown scheme"))?;
        let path = decode(url.path()).ok_or_else(|| wrong("path is not UTF-8"))?;
        let host = url.host_str().unwrap_or_default();
        let user = decode(url.username()).ok_or_else(|| wrong("container is not UTF-8"))?;
        match cloud {
            Cloud::Azure => azure(&user, host, &path).ok_or_else(|| wrong("no container in it")),
            Cloud::Http | Cloud::Https if azure_account(host).is_some() => {
                Ok(azure_https(host, &path))
            }
            Cloud::File if host.is_empty() || host == "localhost" => {
                Ok(Self::new(cloud, None, None, &path))
            }
            Cloud::File => Err(wrong("a file url names no host")),
            _ if !user.is_empty() => Err(wrong("a user name does not belong here")),
            Cloud::Http | Cloud::Https => {
                let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
                Ok(Self::new(cloud, None, Some(format!("{host}{port}")), &path))
            }
            Cloud::S3 | Cloud::Gcs => Ok(Self::new(cloud, None, Some(host.to_owned()), &path)),
        }
    }

    /// The address of an object whose names were made by [`store_name`](Self::store_name).
    ///
    /// # Errors
    /// `Invalid` if its store is none of ours.
    pub(crate) fn of_object(object: &ObjectId) -> Result<Self> {
        let unknown = || Error::invalid(format!("object {object} is of an unknown store"));
        let (scheme, authority) = object.store.split_once("://").ok_or_else(unknown)?;
        let cloud = cloud(scheme).ok_or_else(unknown)?;
        let account = authority.split('@').next().unwrap_or_default().to_owned();
        let container = Some(object.container.clone());
        Ok(match cloud {
            Cloud::Azure => Self::new(cloud, Some(account), container, &object.path),
            Cloud::S3 | Cloud::Gcs => Self::new(cloud, None, container, &object.path),
            Cloud::Http | Cloud::Https => Self::new(cloud, None, Some(account), &object.path),
            Cloud::File => Self::new(cloud, None, None, &object.path),
        })
    }

    fn new(cloud: Cloud, account: Option<String>, container: Option<String>, path: &str) -> Self {
        let folder = path.is_empty() || path.ends_with('/');
        let path = path.trim_matches('/').to_owned();
        let container = container.filter(|container| !container.is_empty());
        Self { cloud, account, container, path, folder }
    }

    /// The canonical name of the store: scheme and authority, and the endpoint where it is not the
    /// cloud's own, since two endpoints may hold containers of one name.
    pub(crate) fn store_name(&self, endpoint: Option<&str>) -> String {
        let account = self.account.as_deref().unwrap_or_default();
        let authority = self.container.as_deref().unwrap_or_default();
        match (self.cloud, endpoint) {
            (Cloud::Azure, Some(endpoint)) => format!("azure://{account}@{endpoint}"),
            (Cloud::Azure, None) => format!("azure://{account}"),
            (Cloud::S3, endpoint) => format!("s3://{}", endpoint.unwrap_or("s3.amazonaws.com")),
            (Cloud::Gcs, endpoint) => {
                format!("gs://{}", endpoint.unwrap_or("storage.googleapis.com"))
            }
            (Cloud::Http, _) => format!("http://{authority}"),
            (Cloud::Https, _) => format!("https://{authority}"),
            (Cloud::File, _) => "file://".to_owned(),
        }
    }

    /// The canonical name of the container; empty where the store is all there is.
    pub(crate) fn container_name(&self) -> &str {
        match self.cloud {
            Cloud::Azure | Cloud::S3 | Cloud::Gcs => self.container.as_deref().unwrap_or_default(),
            Cloud::Http | Cloud::Https | Cloud::File => "",
        }
    }

    /// How closely this prefix covers `other`; `None` if it does not. Greater is closer.
    pub(crate) fn covers(&self, other: &Self) -> Option<(usize, usize)> {
        let agree = |a: &Option<String>, b: &Option<String>| a.is_none() || b.is_none() || a == b;
        let covered = self.cloud == other.cloud
            && agree(&self.account, &other.account)
            && (self.container.is_none() || self.container == other.container)
            && is_under(&other.path, &self.path);
        let names = usize::from(self.container.is_some()) * 2 + usize::from(self.account.is_some());
        covered.then_some((names, self.path.len()))
    }
}

/// Whether `path` is `folder` or lies under it; the empty folder holds everything.
pub(crate) fn is_under(path: &str, folder: &str) -> bool {
    folder.is_empty()
        || path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// `url` without query, fragment and password: fit for messages.
pub(crate) fn redact(url: &str) -> String {
    let bare = url.split(['?', '#']).next().unwrap_or_default();
    let Some((scheme, rest)) = bare.split_once("://") else { return bare.to_owned() };
    let (authority, path) = rest.split_once('/').map_or((rest, None), |(a, p)| (a, Some(p)));
    let authority = match authority.rsplit_once('@') {
        Some((user, host)) => format!("{}@{host}", user.split(':').next().unwrap_or_default()),
        None => authority.to_owned(),
    };
    path.map_or_else(
        || format!("{scheme}://{authority}"),
        |path| format!("{scheme}://{authority}/{path}"),
    )
}

/// The part of an Azure account name before its domain, and the domain where it is a special one.
pub(crate) fn split_account(account: &str) -> (&str, Option<&str>) {
    account.split_once('.').map_or((account, None), |(name, domain)| (name, Some(domain)))
}

fn cloud(scheme: &str) -> Option<Cloud> {
    Some(match scheme {
        "abfss" | "abfs" | "az" | "azure" => Cloud::Azure,
        "s3" | "s3a" => Cloud::S3,
        "gs" => Cloud::Gcs,
        "http" => Cloud::Http,
        "https" => Cloud::Https,
        "file" => Cloud::File,
        _ => return None,
    })
}

fn decode(text: &str) -> Option<String> {
    percent_decode_str(text).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

fn azure(user: &str, host: &str, path: &str) -> Option<Address> {
    let host = percent_decode_str(host).decode_utf8().ok()?;
    let (account, container) = match (user, host.contains('.')) {
        ("", true) => (Some(azure_account(&host)?), None),
        ("", false) => (None, Some(host.into_owned())),
        (user, true) => (Some(azure_account(&host)?), Some(user.to_owned())),
        (user, false) => (Some(host.to_lowercase()), Some(user.to_owned())),
    };
    Some(Address::new(Cloud::Azure, account, container, path))
}

fn azure_https(host: &str, path: &str) -> Address {
    let rest = path.trim_start_matches('/');
    let (container, path) = rest.split_once('/').unwrap_or((rest, ""));
    Address::new(Cloud::Azure, azure_account(host), Some(container.to_owned()), path)
}

/// `account` of `account.dfs.core.windows.net`, `account.domain` in other clouds.
fn azure_account(host: &str) -> Option<String> {
    let host = host.to_lowercase();
    let (account, rest) = host.split_once('.')?;
    let domain = rest.strip_prefix("dfs.").or_else(|| rest.strip_prefix("blob."))?;
    if domain == AZURE_DOMAIN {
        return Some(account.to_owned());
    }
    let known = domain.starts_with("core.") || domain == "fabric.microsoft.com";
    known.then(|| format!("{account}.{domain}"))
}
