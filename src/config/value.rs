//! The types for single values of a config file. A field's type is the only validation of its value.

use ipnet::{IpNet, Ipv4Net};
use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    num::{NonZeroU32, NonZeroUsize},
    path::PathBuf,
    str::FromStr,
    time::Duration,
};
use toml::de::DeValue;

/// A type that a TOML value can be read as.
pub(super) trait Value: Sized {
    /// The right values, to follow "it takes …".
    const TAKES: &'static str;

    /// Reads a value.
    ///
    /// # Errors
    /// The mistake and the right values, as a sentence that follows the key's name.
    fn read(raw: &DeValue<'_>) -> Result<Self, String>;

    /// Returns the sentence for a value of the wrong kind.
    fn refuse(raw: &DeValue<'_>) -> String {
        format!("is {}; it takes {}", kind(raw), Self::TAKES)
    }
}

/// Returns the kind of a value, with its article.
pub(super) const fn kind(raw: &DeValue<'_>) -> &'static str {
    match raw {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a time",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}

impl Value for String {
    const TAKES: &'static str = "a string that isn't empty";

    fn read(raw: &DeValue<'_>) -> Result<Self, String> {
        match raw.as_str() {
            Some("") => Err(format!("is empty; it takes {}", Self::TAKES)),
            Some(text) => Ok(text.to_owned()),
            None => Err(Self::refuse(raw)),
        }
    }
}

impl Value for bool {
    const TAKES: &'static str = "true or false";

    fn read(raw: &DeValue<'_>) -> Result<Self, String> {
        raw.as_bool().ok_or_else(|| Self::refuse(raw))
    }
}

impl Value for PathBuf {
    const TAKES: &'static str = "a path";

    fn read(raw: &DeValue<'_>) -> Result<Self, String> {
        match raw.as_str() {
            Some("") => Err(format!("is empty; it takes {}", Self::TAKES)),
            Some(path) => Ok(path.into()),
            None => Err(Self::refuse(raw)),
        }
    }
}

/// Counts and limits. Zero would mean a server that serves no client, so it is always a mistake.
macro_rules! count {
    ($($type:ty),*) => {$(
        impl Value for $type {
            const TAKES: &'static str = "a whole number from 1 on";

            fn read(raw: &DeValue<'_>) -> Result<Self, String> {
                let integer = raw.as_integer().ok_or_else(|| Self::refuse(raw))?;
                u64::from_str_radix(integer.as_str(), integer.radix())
                    .ok()
                    .and_then(|number| Self::try_from(std::num::NonZeroU64::new(number)?).ok())
                    .ok_or_else(|| format!("is {integer}; it takes {}", Self::TAKES))
            }
        }
    )*};
}
count!(NonZeroU32, NonZeroUsize);

/// A number of bytes, in the form `"256MiB"`, `"5 GiB"`, `"1GB"` or a plain integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ByteSize(pub(crate) u64);

impl ByteSize {
    const UNITS: [(&'static str, u64); 10] = [
        ("TiB", 1 << 40),
        ("GiB", 1 << 30),
        ("MiB", 1 << 20),
        ("KiB", 1 << 10),
        ("TB", 1_000_000_000_000),
        ("GB", 1_000_000_000),
        ("MB", 1_000_000),
        ("kB", 1_000),
        ("B", 1),
        ("", 1),
    ];
}

impl FromStr for ByteSize {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (number, unit) = split_unit(text).ok_or(())?;
        let (_, bytes) = Self::UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).ok_or(())?;
        number.checked_mul(*bytes).map(Self).ok_or(())
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let binary = Self::UNITS.iter().take(4).find(|(_, bytes)| self.0 >= *bytes && self.0.is_multiple_of(*bytes));
        match binary {
            Some((unit, bytes)) => write!(f, "{}{unit}", self.0 / bytes),
            None => write!(f, "{}", self.0),
        }
    }
}

impl Value for ByteSize {
    const TAKES: &'static str = "a size such as \"256MiB\" or \"5 GiB\", or a number of bytes";

    fn read(raw: &DeValue<'_>) -> Result<Self, String> {
        match raw {
            DeValue::Integer(integer) => u64::from_str_radix(integer.as_str(), integer.radix())
                .map(Self)
                .map_err(|_| format!("is {integer}; it takes {}", Self::TAKES)),
            DeValue::String(text) => {
                text.parse().map_err(|()| format!("`{text}` is no size; it takes {}", Self::TAKES))
            }
            other => Err(Self::refuse(other)),
        }
    }
}

impl Value for Duration {
    const TAKES: &'static str = "a duration such as \"30s\", \"5m\" or \"1h\"";

    fn read(raw: &DeValue<'_>) -> Result<Self, String> {
        let text = raw.as_str().ok_or_else(|| Self::refuse(raw))?;
        let wrong = || format!("`{text}` is no duration; it takes {}", Self::TAKES);
        let (number, unit) = split_unit(text).ok_or_else(wrong)?;
        let unit_ms: u64 = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(wrong()),
        };
        match number.checked_mul(unit_ms) {
            Some(1..=MAX_DURATION_MS) => Ok(Self::from_millis(number * unit_ms)),
            _ => Err(format!("is {text}; it takes {}, from 1ms to 365d", Self::TAKES)),
        }
    }
}

/// A year. Longer durations are mistakes, and much longer ones overflow the arithmetic of clocks.
const MAX_DURATION_MS: u64 = 365 * 86_400_000;

/// Splits a text into a whole number and its unit, with or without a space between them.
fn split_unit(text: &str) -> Option<(u64, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits)?;
    Some((number.parse().ok()?, unit.strip_prefix(' ').unwrap_or(unit)))
}

/// Types with an error that names the right values.
macro_rules! parsed {
    ($($type:ty: $takes:literal),* $(,)?) => {$(
        impl $crate::config::value::Value for $type {
            const TAKES: &'static str = $takes;

            fn read(raw: &toml::de::DeValue<'_>) -> Result<Self, String> {
                let text = raw.as_str().ok_or_else(|| Self::refuse(raw))?;
                text.parse().map_err(|error| format!("{error}"))
            }
        }
    )*};
}
pub(super) use parsed;

parsed! {
    crate::name::TenantName: "a name",
    crate::name::UserName: "a name",
    crate::account::Permission: "a permission",
}

/// Types with a few words as values.
macro_rules! words {
    ($type:ty { $first:literal => $first_value:expr $(, $word:literal => $value:expr)* $(,)? }) => {
        impl $crate::config::value::Value for $type {
            const TAKES: &'static str = concat!("`", $first, "`" $(, ", `", $word, "`")*);

            fn read(raw: &toml::de::DeValue<'_>) -> Result<Self, String> {
                match raw.as_str() {
                    Some($first) => Ok($first_value),
                    $(Some($word) => Ok($value),)*
                    Some(other) => Err(format!("`{other}` is not known; it takes one of {}", Self::TAKES)),
                    None => Err(Self::refuse(raw)),
                }
            }
        }
    };
}
pub(super) use words;

/// Strings of a required form. Messages don't repeat their values, because an endpoint may hold a password.
macro_rules! texts {
    ($($type:ident: $takes:literal, $fits:expr;)*) => {$(
        #[derive(Clone, Debug)]
        pub(crate) struct $type(pub(super) String);

        impl $crate::config::value::Value for $type {
            const TAKES: &'static str = $takes;

            fn read(raw: &toml::de::DeValue<'_>) -> Result<Self, String> {
                raw.as_str().ok_or_else(|| Self::refuse(raw))?.parse()
            }
        }

        impl std::str::FromStr for $type {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                let fits: fn(&str) -> bool = $fits;
                if fits(text) { Ok(Self(text.to_owned())) } else { Err(concat!("doesn't fit; it takes ", $takes).to_owned()) }
            }
        }
    )*};
}
pub(super) use texts;

impl Value for SocketAddr {
    const TAKES: &'static str = "an address and a port, such as \"0.0.0.0:2222\" or \"[::]:2222\"";

    fn read(raw: &DeValue<'_>) -> Result<Self, String> {
        let text = raw.as_str().ok_or_else(|| Self::refuse(raw))?;
        text.parse().map_err(|_| format!("`{text}` is no address; it takes {}", Self::TAKES))
    }
}

impl Value for IpNet {
    const TAKES: &'static str = "a network such as \"10.0.0.0/16\", or an address";

    fn read(raw: &DeValue<'_>) -> Result<Self, String> {
        let text = raw.as_str().ok_or_else(|| Self::refuse(raw))?;
        let net = text.parse().or_else(|_| text.parse::<IpAddr>().map(Self::from));
        let net = net.map_err(|_| format!("`{text}` is no network; it takes {}", Self::TAKES))?;
        let net = canonical(net);
        if net.addr() == net.network() {
            return Ok(net);
        }
        Err(format!("`{text}` has bits set behind its prefix; the network is \"{}\"", net.trunc()))
    }
}

/// Converts networks of IPv4-mapped IPv6 addresses to the IPv4 networks.
fn canonical(net: IpNet) -> IpNet {
    let IpNet::V6(v6) = net else { return net };
    let v4 = v6.addr().to_ipv4_mapped().zip(v6.prefix_len().checked_sub(96));
    v4.and_then(|(address, prefix)| Ipv4Net::new(address, prefix).ok()).map_or(net, IpNet::V4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: Value>(toml: &str) -> Result<T, String> {
        T::read(DeValue::parse(toml).unwrap().get_ref())
    }

    #[test]
    fn sizes_have_units_or_are_bytes() {
        for (text, bytes) in [
            ("5242880", 5 << 20),
            ("\"5MiB\"", 5 << 20),
            ("\"5 mib\"", 5 << 20),
            ("\"1kB\"", 1_000),
            ("\"2 GiB\"", 2 << 30),
            ("\"7\"", 7),
            ("1_000", 1_000),
        ] {
            assert_eq!(read(text), Ok(ByteSize(bytes)), "{text}");
        }
        for bad in ["\"\"", "\"MiB\"", "\"1.5GiB\"", "\"5XB\"", "-1", "\"-1\"", "\"20000000TiB\"", "true", "\"5  MiB\""]
        {
            assert!(read::<ByteSize>(bad).is_err(), "{bad}");
        }
        assert_eq!(ByteSize(20 << 20).to_string(), "20MiB");
        assert_eq!(ByteSize(1_000).to_string(), "1000");
    }

    #[test]
    fn durations_have_units_and_last() {
        for (text, seconds) in [("\"30s\"", 30), ("\"5m\"", 300), ("\"1h\"", 3_600), ("\"2 d\"", 172_800)] {
            assert_eq!(read(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(
            read::<Duration>("30"),
            Err("is an integer; it takes a duration such as \"30s\", \"5m\" or \"1h\"".into())
        );
        for bad in ["\"30\"", "\"0s\"", "\"s\"", "\"-1s\"", "\"366d\"", "\"99999999999999999d\"", "1.5"] {
            assert!(read::<Duration>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn networks_are_whole_and_ipv4_mapped_ones_are_ipv4() {
        for (text, net) in [
            ("'10.0.0.0/8'", "10.0.0.0/8"),
            ("'192.0.2.1'", "192.0.2.1/32"),
            ("'::ffff:10.0.0.0/104'", "10.0.0.0/8"),
            ("'::ffff:192.0.2.1'", "192.0.2.1/32"),
            ("'2001:db8::/32'", "2001:db8::/32"),
            ("'::/0'", "::/0"),
        ] {
            assert_eq!(read::<IpNet>(text).map(|net| net.to_string()), Ok(net.to_owned()), "{text}");
        }
        assert_eq!(
            read::<IpNet>("'10.1.0.0/8'"),
            Err("`10.1.0.0/8` has bits set behind its prefix; the network is \"10.0.0.0/8\"".into())
        );
        for bad in ["''", "'10.0.0.0/33'", "'10.0.0/8'", "'nlb.example'", "10", "'10.0.0.0:22'"] {
            assert!(read::<IpNet>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_limit_of_zero_is_refused() {
        assert_eq!(read::<NonZeroU32>("0"), Err("is 0; it takes a whole number from 1 on".into()));
        assert_eq!(read::<NonZeroU32>("4294967296"), Err("is 4294967296; it takes a whole number from 1 on".into()));
        assert!(read::<NonZeroUsize>("-1").is_err());
        assert_eq!(read::<NonZeroUsize>("0x10").map(NonZeroUsize::get), Ok(16));
    }
}
