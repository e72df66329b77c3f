//! The limits of a tenant. Its own file states them, or the tier that it names; else the defaults hold.

use super::{
    document::ConfigTable,
    value::{ByteSize, Value},
};
use crate::{
    account::{
        DEFAULT_MAX_OBJECT_BYTES, DEFAULT_MAX_RENAME_OBJECTS, DailyFigures, DailyLimits, RateFigures, RateLimits,
        TenantRates,
    },
    upload::MAX_OBJECT_BYTES,
};
use std::{
    num::{NonZeroU32, NonZeroUsize},
    time::Duration,
};
use toml::de::DeValue;

/// The maximum of `max_rename_objects`: a rename of a directory keeps the names of all its objects in memory.
const MOST_RENAME_OBJECTS: u64 = 100_000;

/// The minimum of the time to keep partial uploads: a client needs longer than this to reconnect and resume.
const SHORTEST_RETENTION: Duration = Duration::from_mins(1);

/// The minimum of a rate of bytes: a client's largest WRITE then takes four seconds.
const LEAST_BYTES_PER_SECOND: u64 = 64 << 10;

/// The minimum of the rate of listings: a reply has some hundred entries.
const LEAST_ENTRIES_PER_SECOND: u64 = 100;

/// The word for no limit, with which a tenant has none although its tier has one.
const UNLIMITED: &str = "unlimited";

/// The limits that a table states. `None` for those that it doesn't state.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct StatedLimits {
    max_object_bytes: Option<u64>,
    max_rename_objects: Option<u64>,
    retention: Option<Duration>,
    daily: DailyFigures<Option<StatedLimit>>,
    rates: StatedRates,
}

/// The rates that a table states.
#[derive(Clone, Copy, Debug, Default)]
struct StatedRates {
    together: RateFigures<Option<StatedLimit>>,
    each_user: RateFigures<Option<StatedLimit>>,
    each_session: RateFigures<Option<StatedLimit>>,
}

/// A limit, or the statement that there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct StatedLimit(Option<u64>);

impl StatedLimits {
    /// Reads the limits of a tenant's file, or of a tier.
    pub(super) fn read(table: &mut ConfigTable<'_>) -> Self {
        Self {
            max_object_bytes: read_max_object_bytes(table),
            max_rename_objects: read_max_rename_objects(table),
            retention: read_retention(table),
            daily: table.table("daily_limits", |daily| Some(read_daily(daily))).unwrap_or_default(),
            rates: table.table("rates", |rates| Some(read_rates(rates))).unwrap_or_default(),
        }
    }

    /// Returns these limits, and those of `tier` that these don't state.
    pub(super) fn over(self, tier: Self) -> Self {
        let (own, of_tier) = (self.daily, tier.daily);
        let (rates, rates_of_tier) = (self.rates, tier.rates);
        Self {
            max_object_bytes: self.max_object_bytes.or(tier.max_object_bytes),
            max_rename_objects: self.max_rename_objects.or(tier.max_rename_objects),
            retention: self.retention.or(tier.retention),
            daily: DailyFigures {
                bytes_written: own.bytes_written.or(of_tier.bytes_written),
                zero_bytes: own.zero_bytes.or(of_tier.zero_bytes),
                bytes_copied: own.bytes_copied.or(of_tier.bytes_copied),
                s3_requests: own.s3_requests.or(of_tier.s3_requests),
            },
            rates: StatedRates {
                together: rates.together.zip_with(rates_of_tier.together, Option::or),
                each_user: rates.each_user.zip_with(rates_of_tier.each_user, Option::or),
                each_session: rates.each_session.zip_with(rates_of_tier.each_session, Option::or),
            },
        }
    }

    pub(super) fn max_object_bytes(&self) -> u64 {
        self.max_object_bytes.unwrap_or(DEFAULT_MAX_OBJECT_BYTES)
    }

    pub(super) fn max_rename_objects(&self) -> u64 {
        self.max_rename_objects.unwrap_or(DEFAULT_MAX_RENAME_OBJECTS)
    }

    /// The time for which an interrupted upload can be resumed, if it is stated.
    pub(super) const fn retention(&self) -> Option<Duration> {
        self.retention
    }

    pub(super) fn daily(&self) -> DailyLimits {
        DailyLimits {
            bytes_written: limit(self.daily.bytes_written),
            zero_bytes: limit(self.daily.zero_bytes),
            bytes_copied: limit(self.daily.bytes_copied),
            s3_requests: limit(self.daily.s3_requests),
        }
    }

    pub(super) fn rates(&self) -> TenantRates {
        let limits = |stated: RateFigures<_>| stated.zip_with(RateLimits::default(), |stated, _| limit(stated));
        let StatedRates { together, each_user, each_session } = self.rates;
        TenantRates { together: limits(together), each_user: limits(each_user), each_session: limits(each_session) }
    }
}

/// Returns the limit that is stated, if there is one.
fn limit(stated: Option<StatedLimit>) -> Option<u64> {
    stated.and_then(|StatedLimit(limit)| limit)
}

fn read_max_object_bytes(table: &mut ConfigTable<'_>) -> Option<u64> {
    const KEY: &str = "max_object_bytes";
    let max: ByteSize = table.optional(KEY)?;
    if !(1..=MAX_OBJECT_BYTES).contains(&max.0) {
        let most = ByteSize(MAX_OBJECT_BYTES);
        table.problem(KEY, format!("is {max}; it takes 1 byte to {most}"));
    }
    Some(max.0)
}

fn read_max_rename_objects(table: &mut ConfigTable<'_>) -> Option<u64> {
    const KEY: &str = "max_rename_objects";
    let max = table.optional::<NonZeroU32>(KEY).map(|max| u64::from(max.get()))?;
    if max > MOST_RENAME_OBJECTS {
        table.problem(KEY, format!("is {max}; it takes 1 to {MOST_RENAME_OBJECTS}"));
    }
    Some(max)
}

fn read_retention(table: &mut ConfigTable<'_>) -> Option<Duration> {
    const KEY: &str = "partial_uploads_kept_for";
    let retention: Duration = table.optional(KEY)?;
    if retention < SHORTEST_RETENTION {
        table.problem(KEY, "is less than a minute; it takes \"1m\" to \"365d\"");
    }
    Some(retention)
}

/// Reads the `[daily_limits]` table. A limit of 0 on bytes written or on requests would leave nothing to a client.
fn read_daily(daily: &mut ConfigTable<'_>) -> DailyFigures<Option<StatedLimit>> {
    let bytes_written = bytes(daily.optional("bytes_written"));
    if bytes_written == Some(StatedLimit(Some(0))) {
        daily.problem("bytes_written", "is 0, so that no client could upload; it takes a size from 1 byte on");
    }
    DailyFigures {
        bytes_written,
        zero_bytes: bytes(daily.optional("zero_bytes")),
        bytes_copied: bytes(daily.optional("bytes_copied")),
        s3_requests: daily.optional("s3_requests").map(|CountOrUnlimited(limit)| limit),
    }
}

/// Reads the `[rates]` table and the tables in it.
fn read_rates(rates: &mut ConfigTable<'_>) -> StatedRates {
    StatedRates {
        each_user: rates.table("each_user", |rates| Some(read_rates_of_user(rates))).unwrap_or_default(),
        each_session: rates.table("each_session", |rates| Some(read_rates_of_session(rates))).unwrap_or_default(),
        together: read_rates_of_user(rates),
    }
}

/// Reads the rates that a user or a tenant may have.
fn read_rates_of_user(rates: &mut ConfigTable<'_>) -> RateFigures<Option<StatedLimit>> {
    RateFigures { logins: read_count_rate(rates, "logins_per_second", 1), ..read_rates_of_session(rates) }
}

/// Reads the rates that a session may have.
fn read_rates_of_session(rates: &mut ConfigTable<'_>) -> RateFigures<Option<StatedLimit>> {
    RateFigures {
        upload_bytes: read_byte_rate(rates, "upload_bytes_per_second"),
        download_bytes: read_byte_rate(rates, "download_bytes_per_second"),
        requests: read_count_rate(rates, "requests_per_second", 1),
        s3_requests: read_count_rate(rates, "s3_requests_per_second", 1),
        listing_entries: read_count_rate(rates, "listing_entries_per_second", LEAST_ENTRIES_PER_SECOND),
        ..RateFigures::default()
    }
}

fn read_byte_rate(rates: &mut ConfigTable<'_>, key: &'static str) -> Option<StatedLimit> {
    let rate = bytes(rates.optional(key))?;
    if let StatedLimit(Some(rate)) = rate
        && rate < LEAST_BYTES_PER_SECOND
    {
        let (rate, least) = (ByteSize(rate), ByteSize(LEAST_BYTES_PER_SECOND));
        rates.problem(key, format!("is {rate}; it takes a size from {least} on, or \"unlimited\""));
    }
    Some(rate)
}

fn read_count_rate(rates: &mut ConfigTable<'_>, key: &'static str, least: u64) -> Option<StatedLimit> {
    let CountOrUnlimited(rate) = rates.optional(key)?;
    if let StatedLimit(Some(rate)) = rate
        && rate < least
    {
        rates.problem(key, format!("is {rate}; it takes a whole number from {least} on, or \"unlimited\""));
    }
    Some(rate)
}

fn bytes(stated: Option<BytesOrUnlimited>) -> Option<StatedLimit> {
    stated.map(|BytesOrUnlimited(limit)| limit)
}

/// A number of bytes, or no limit.
struct BytesOrUnlimited(StatedLimit);

impl Value for BytesOrUnlimited {
    const TAKES: &'static str = "a size such as \"256MiB\" or \"5 GiB\", a number of bytes, or \"unlimited\"";

    fn read(raw: &DeValue<'_>) -> Result<Self, String> {
        match raw.as_str() {
            Some(UNLIMITED) => Ok(Self(StatedLimit(None))),
            Some(text) => match text.parse() {
                Ok(ByteSize(bytes)) => Ok(Self(StatedLimit(Some(bytes)))),
                Err(()) => Err(format!("`{text}` is no size; it takes {}", Self::TAKES)),
            },
            None if raw.as_integer().is_some() => {
                ByteSize::read(raw).map(|ByteSize(bytes)| Self(StatedLimit(Some(bytes))))
            }
            None => Err(Self::refuse(raw)),
        }
    }
}

/// A count, or no limit.
struct CountOrUnlimited(StatedLimit);

impl Value for CountOrUnlimited {
    const TAKES: &'static str = "a whole number from 1 on, or \"unlimited\"";

    fn read(raw: &DeValue<'_>) -> Result<Self, String> {
        match raw.as_str() {
            Some(UNLIMITED) => Ok(Self(StatedLimit(None))),
            Some(text) => Err(format!("`{text}` is no number; it takes {}", Self::TAKES)),
            None if raw.as_integer().is_some() => {
                NonZeroUsize::read(raw).map(|requests| Self(StatedLimit(Some(requests.get() as u64))))
            }
            None => Err(Self::refuse(raw)),
        }
    }
}
