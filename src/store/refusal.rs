//! The meaning of a refusal: a missing object or a forbidden one. With credentials that are limited to a prefix, S3
//! answers 403 to both, and only a listing tells them apart.

use super::{Bucket, Error, ListScope, Page, Result};
use crate::name::Key;

/// The meaning of a refused request for `key`: [`Error::NotFound`] if a listing shows no such object, else `refusal`. 1
/// request.
pub(crate) async fn missing_or_forbidden<E: From<Error>>(bucket: &dyn Bucket, key: &Key, refusal: E) -> E {
    match Box::pin(file_exists(bucket, key)).await {
        Ok(false) => Error::NotFound.into(),
        Ok(true) | Err(_) => refusal,
    }
}

/// Sends `request` for `key`. If S3 denies it, one listing decides. If the listing lacks the key, returns
/// [`Error::NotFound`]. If it shows the key, the object may have appeared in between, so the request is sent once more.
pub(crate) async fn ask<T, F>(bucket: &dyn Bucket, key: &Key, request: impl Fn() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let refusal = match request().await {
        Err(refusal @ Error::Forbidden { .. }) => refusal,
        answered => return answered,
    };
    match Box::pin(file_exists(bucket, key)).await {
        Ok(false) => Err(Error::NotFound),
        Ok(true) => request().await,
        Err(_) => Err(refusal),
    }
}

/// True if there is a file `key`, as a listing shows it. 1 request.
///
/// # Errors
/// The listing's errors.
pub async fn file_exists(bucket: &dyn Bucket, key: &Key) -> Result<bool> {
    let page = first_names(bucket, ListScope::StartingWith(key), 1).await?;
    // The key itself would come first.
    Ok(page.objects.first().is_some_and(|first| first.raw_key == key.as_str()))
}

/// The first `count` names in `scope`, without common prefixes; fewer only if the scope has fewer. 1 request, as long
/// as S3 fills its pages. S3 may answer with fewer names than it has, or with none, and a token for the rest.
pub(crate) async fn first_names(bucket: &dyn Bucket, scope: ListScope<'_>, count: u16) -> Result<Page> {
    let mut all = bucket.list(scope, None, count).await?;
    while let Some(token) = &all.next
        && let Some(missing) = count.checked_sub(u16::try_from(all.objects.len()).unwrap_or(count))
        && missing > 0
    {
        let more = bucket.list(scope, Some(token), missing).await?;
        all.objects.extend(more.objects);
        all.next = more.next;
    }
    Ok(all)
}
