//! The ways out of acme's mount: keys and listings that its sessions must not reach.

use super::{Site, TENANTS_BUCKETS};

/// A way out of a mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EscapeWay {
    /// A name that begins with the mount's prefix without its slash.
    Sibling,
    /// A name with which the mount's prefix begins.
    ShorterName,
    /// Another directory in the same directory.
    Neighbour,
    /// A file in the directory above.
    Above,
    /// The same key in another bucket of the account.
    SecondBucket,
    /// The same key in a bucket of the server's account.
    SecondAccount,
    /// A key in the mount, by the name of the bucket behind the access point.
    BucketItself,
    /// A key in the mount, through another access point of the bucket.
    OtherPoint,
}

impl EscapeWay {
    /// The ways, in the order of the documentation.
    pub const ALL: [Self; 8] = [
        Self::Sibling,
        Self::ShorterName,
        Self::Neighbour,
        Self::Above,
        Self::SecondBucket,
        Self::SecondAccount,
        Self::BucketItself,
        Self::OtherPoint,
    ];
}

/// Returns the directory above `prefix`, or nothing at the top of the bucket.
fn above(prefix: &str) -> &str {
    let bare = prefix.trim_end_matches('/');
    bare.rfind('/').map_or("", |slash| bare.get(..=slash).unwrap_or_default())
}

impl Site {
    /// Returns keys outside acme's mount, each with the way to it.
    pub fn escapes(&self) -> Vec<(EscapeWay, String, String)> {
        let here = self.bucket.as_str();
        let mut escapes = Vec::new();
        if let Some(bare) = self.prefix.strip_suffix('/') {
            let above = above(&self.prefix);
            let shorter: String = bare.chars().take(bare.chars().count() - 1).collect();
            escapes = vec![
                (EscapeWay::Sibling, here, format!("{bare}-archive/secret")),
                (EscapeWay::Sibling, here, format!("{bare}2")),
                (EscapeWay::ShorterName, here, format!("{shorter}/secret")),
                (EscapeWay::Neighbour, here, format!("{above}globex/secret")),
                (EscapeWay::Above, here, format!("{above}secret")),
            ];
            // Beside a mount inside acme's prefix are acme's own directories, and further up those of globex.
            if let Some(tenants) = above.strip_suffix("acme/") {
                escapes.push((EscapeWay::Neighbour, here, format!("{tenants}globex/secret")));
            }
        }
        escapes.push((EscapeWay::SecondBucket, &self.other, format!("{}secret", self.prefix)));
        // In ministack a bucket of another account doesn't exist.
        if TENANTS_BUCKETS.contains(&here) && !self.is_ministack() {
            escapes.push((EscapeWay::SecondAccount, "vendor", format!("{}secret", self.prefix)));
        }
        if let Some([bucket, point]) = self.beside_the_access_point() {
            let inside = format!("{}secret", self.prefix);
            escapes.push((EscapeWay::BucketItself, bucket, inside.clone()));
            escapes.push((EscapeWay::OtherPoint, point, inside));
        }
        escapes.into_iter().map(|(way, bucket, key)| (way, bucket.to_owned(), key)).collect()
    }

    /// Returns prefixes of listings that show more than acme's mount.
    pub fn listings_above(&self) -> Vec<Option<String>> {
        let Some(bare) = self.prefix.strip_suffix('/') else { return Vec::new() };
        let half: String = bare.chars().take(bare.chars().count() - 1).collect();
        let mut listings = vec![None, Some(String::new())];
        let above = Some(above(&self.prefix)).filter(|above| !above.is_empty());
        listings.extend(["/", bare, &half, "../"].into_iter().chain(above).map(|prefix| Some(prefix.to_owned())));
        listings
    }

    /// Returns keys outside acme's mount.
    pub fn foreign(&self) -> Vec<(String, String)> {
        self.escapes().into_iter().map(|(_, bucket, key)| (bucket, key)).collect()
    }
}
