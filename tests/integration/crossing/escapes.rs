//! Paths that try to escape a tenant's jail.

/// Escapes that worked in comparable servers. `OTHER` stands for the other tenant's name.
const WAYS: &[&str] = &[
    "/../OTHER/NAME",
    "/../../tenants/OTHER/NAME",
    "../../../../../../tenants/OTHER/NAME",
    "/./.././../OTHER/NAME",
    "//OTHER//NAME",
    "/tenants/OTHER/NAME",
    "/wharfinger-demo/tenants/OTHER/NAME",
    "/globex-exchange/NAME",
    "s3://wharfinger-demo/tenants/OTHER/NAME",
    "arn:aws:s3:::wharfinger-demo/tenants/OTHER/NAME",
    "/..\\OTHER\\NAME",
    "\\..\\..\\OTHER\\NAME",
    "/%2e%2e/OTHER/NAME",
    "/..%2fOTHER%2fNAME",
    "/..%252fOTHER/NAME",
    "/..;/OTHER/NAME",
    "/.../OTHER/NAME",
    "/\u{ff0e}\u{ff0e}/OTHER/NAME",
    "/\u{2025}/OTHER/NAME",
    "/..\u{0}/OTHER/NAME",
    "/\u{0}/../OTHER/NAME",
    "/..\n/OTHER/NAME",
    "/.. /OTHER/NAME",
    "/.\u{200b}./OTHER/NAME",
    "/f0/../../OTHER/NAME",
    "/d0/../../../OTHER/NAME",
    "/d0/./../..//OTHER/./NAME",
    "~/../OTHER/NAME",
    "~bob/NAME",
    "~alice/NAME",
    "/~bob/../../OTHER/NAME",
    "/proc/self/environ",
    "/etc/passwd",
    "C:\\Windows\\NAME",
    "//?/C:/NAME",
    "/d0/..",
    "/..",
    "..",
    "/",
    "",
    "?prefix=tenants/OTHER/",
    "/#/../OTHER/NAME",
    "/NAME?versionId=null",
    "/${aws:username}/../OTHER/NAME",
    "/*/OTHER/NAME",
    "/../acme-archive/NAME",
    "/../acme2",
];

/// Returns the path of number `way` that leads to `name` of the tenant `other`.
pub fn path(way: usize, other: &str, name: &str) -> String {
    WAYS[way % WAYS.len()].replace("OTHER", other).replace("NAME", name)
}

/// Number of paths.
pub const COUNT: usize = WAYS.len();
