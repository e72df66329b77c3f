//! A tenant's file as a document to edit: comments, order and layout stay.
//!
//! The methods expect a file without problems, which the caller has checked. Users are tables, `[[users]]`, or inline
//! tables, `users = [{ … }]`.

use super::{
    array::{self, before_own_comments, text},
    key_line::KeyLine,
};
use crate::{
    account::Permission,
    name::{Prefix, UserName, VirtualPath},
};
use toml_edit::{Array, ArrayOfTables, DocumentMut, InlineTable, Item, Key, Table, TableLike, TomlError, Value};

const USERS: &str = "users";
const ENABLED: &str = "enabled";
const PUBLIC_KEYS: &str = "public_keys";
const PASSWORD_HASH: &str = "password_hash";

/// A tenant's file.
#[derive(Clone, Debug)]
pub(super) struct TenantDocument {
    document: DocumentMut,
    /// True if each line ends in CR LF. toml_edit writes LF alone.
    has_crlf: bool,
    has_bom: bool,
}

/// The settings of a user to add.
#[derive(Clone, Debug)]
pub(crate) struct NewUser {
    pub(crate) name: UserName,
    pub(crate) keys: Vec<KeyLine>,
    pub(crate) password_hash: Option<String>,
    /// The permissions, or `None` for the default.
    pub(crate) permissions: Option<Vec<Permission>>,
    pub(crate) landing: Option<String>,
    /// False keeps the user from logging in.
    pub(crate) enabled: bool,
    /// Without mounts the user sees the tenant's whole prefix.
    pub(crate) mounts: Vec<NewMount>,
}

/// A mount of a user to add.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NewMount {
    pub(crate) entry: VirtualPath,
    /// The prefix below that of the tenant.
    pub(crate) prefix: Prefix,
    /// The permissions, or `None` for those of the user.
    pub(crate) permissions: Option<Vec<Permission>>,
}

impl NewMount {
    /// Returns the mount as an inline table.
    fn value(&self) -> Value {
        let mut table = InlineTable::new();
        table.insert("entry", self.entry.as_str().into());
        table.insert("prefix", self.prefix.as_str().into());
        if let Some(permissions) = &self.permissions {
            table.insert("permissions", words(permissions));
        }
        table.into()
    }
}

/// Returns permissions as the config states them.
fn words(permissions: &[Permission]) -> Value {
    permissions.iter().map(|word| word.as_str()).collect::<Array>().into()
}

/// Puts each value on a line of its own.
fn spread(values: &mut Array) {
    values.iter_mut().for_each(|value| value.decor_mut().set_prefix("\n    "));
    values.set_trailing_comma(true);
    values.set_trailing("\n");
}

const BOM: char = '\u{feff}';

impl TenantDocument {
    pub(super) fn parse(text: &str) -> Result<Self, TomlError> {
        let has_crlf = text.contains("\r\n") && text.matches('\n').count() == text.matches("\r\n").count();
        let (has_bom, text) = match text.strip_prefix(BOM) {
            Some(text) => (true, text),
            None => (false, text),
        };
        let document = if has_crlf { text.replace("\r\n", "\n").parse() } else { text.parse() };
        Ok(Self { document: document?, has_crlf, has_bom })
    }

    /// Returns the text of the file.
    pub(super) fn text(&self) -> String {
        let mut text = self.document.to_string();
        if self.has_crlf {
            text = text.replace('\n', "\r\n");
        }
        if self.has_bom {
            text.insert(0, BOM);
        }
        text
    }

    /// Enables or disables the tenant.
    pub(super) fn set_enabled(&mut self, enabled: bool) {
        EditedTable::Table(self.document.as_table_mut()).set_enabled(enabled);
    }

    pub(super) fn user(&mut self, name: &UserName) -> Option<EditedTable<'_>> {
        match self.document.get_mut(USERS)? {
            Item::ArrayOfTables(tables) => tables.iter_mut().find(|user| is_named(*user, name)).map(EditedTable::Table),
            Item::Value(Value::Array(users)) => {
                let mut users = users.iter_mut().filter_map(Value::as_inline_table_mut);
                users.find(|user| is_named(*user, name)).map(EditedTable::Inline)
            }
            _ => None,
        }
    }

    /// Adds a user behind the others.
    pub(super) fn add_user(&mut self, user: &NewUser) {
        if let Some(users) = self.document.get_mut(USERS).and_then(Item::as_array_mut) {
            let mut table = InlineTable::new();
            table.extend(user.settings().map(|(key, value)| (Key::from(key), value)));
            return array::push(users, table.into());
        }
        let mut table = Table::new();
        table.extend(user.settings().map(|(key, value)| (Key::from(key), Item::Value(value))));
        let last = positions(self.document.as_item()).into_iter().max();
        let last_of_users = self.document.get(USERS).and_then(|users| positions(users).into_iter().max());
        table.set_position(last_of_users.or(last));
        let mut above = String::new();
        if last_of_users.is_none() || last_of_users == last {
            // Comments at the end of the file belong to what is there already.
            text(Some(self.document.trailing())).clone_into(&mut above);
            self.document.set_trailing("");
        }
        if !above.is_empty() && !above.ends_with('\n') {
            above.push('\n');
        }
        table.decor_mut().set_prefix(format!("{above}\n"));
        let users = self.document.entry(USERS).or_insert_with(|| ArrayOfTables::new().into());
        if let Some(users) = users.as_array_of_tables_mut() {
            users.push(table);
        }
    }

    /// Removes a user with the comments in and directly above the table. Returns false if there is no such user.
    pub(super) fn remove_user(&mut self, name: &UserName) -> bool {
        match self.document.get_mut(USERS) {
            Some(Item::ArrayOfTables(tables)) => {
                let Some(index) = tables.iter().position(|user| is_named(user, name)) else { return false };
                let removed = tables.remove(index);
                if tables.is_empty() {
                    self.document.remove(USERS);
                }
                self.keep_comments_above(&removed);
                true
            }
            Some(Item::Value(Value::Array(users))) => {
                let is_it = |user: &Value| user.as_inline_table().is_some_and(|user| is_named(user, name));
                let Some(index) = users.iter().position(is_it) else { return false };
                array::remove(users, index);
                true
            }
            _ => false,
        }
    }

    /// Puts the comments above a removed table that don't belong to it above the table that follows.
    fn keep_comments_above(&mut self, removed: &Table) {
        let kept = before_own_comments(text(removed.decor().prefix())).trim_end();
        let Some(position) = removed.position().filter(|_| !kept.is_empty()) else { return };
        let following = positions(self.document.as_item()).into_iter().filter(|other| *other > position).min();
        if let Some(next) = following.and_then(|next| table_at(self.document.as_item_mut(), next)) {
            let prefix = format!("{kept}\n{}", text(next.decor().prefix()));
            next.decor_mut().set_prefix(prefix);
        } else {
            let trailing = format!("{kept}\n{}", text(Some(self.document.trailing())));
            self.document.set_trailing(trailing);
        }
    }
}

/// Returns the positions in the file of the tables in `item`. Dotted tables have none.
fn positions(item: &Item) -> Vec<isize> {
    let of_table = |table: &Table| {
        let inner = table.iter().flat_map(|(_, item)| positions(item));
        inner.chain(table.position()).collect::<Vec<_>>()
    };
    match item {
        Item::Table(table) => of_table(table),
        Item::ArrayOfTables(tables) => tables.iter().flat_map(of_table).collect(),
        Item::None | Item::Value(_) => Vec::new(),
    }
}

/// Returns the table at a position of the file.
fn table_at(item: &mut Item, position: isize) -> Option<&mut Table> {
    match item {
        Item::Table(table) => find_in(table, position),
        Item::ArrayOfTables(tables) => tables.iter_mut().find_map(|table| find_in(table, position)),
        Item::None | Item::Value(_) => None,
    }
}

fn find_in(table: &mut Table, position: isize) -> Option<&mut Table> {
    if table.position() == Some(position) {
        return Some(table);
    }
    table.iter_mut().find_map(|(_, item)| table_at(item, position))
}

impl NewUser {
    /// Returns the keys and values of the user's table.
    fn settings(&self) -> impl Iterator<Item = (&'static str, Value)> {
        let mut keys = Array::new();
        self.keys.iter().for_each(|key| keys.push(key.line.as_str()));
        if keys.len() > 1 {
            spread(&mut keys);
        }
        let mut mounts = self.mounts.iter().map(NewMount::value).collect::<Array>();
        if !mounts.is_empty() {
            spread(&mut mounts);
        }
        let settings = [
            ("name", Some(self.name.as_str().into())),
            (ENABLED, (!self.enabled).then(|| false.into())),
            (PUBLIC_KEYS, (!keys.is_empty()).then(|| keys.into())),
            (PASSWORD_HASH, self.password_hash.as_deref().map(Value::from)),
            ("permissions", self.permissions.as_deref().map(words)),
            ("landing", self.landing.as_deref().map(Value::from)),
            ("mounts", (!mounts.is_empty()).then(|| mounts.into())),
        ];
        settings.into_iter().filter_map(|(key, value)| Some((key, value?)))
    }
}

/// A user's table, or the tenant's: the root.
pub(super) enum EditedTable<'a> {
    Table(&'a mut Table),
    Inline(&'a mut InlineTable),
}

impl EditedTable<'_> {
    fn as_table_like(&self) -> &dyn TableLike {
        match self {
            Self::Table(table) => *table,
            Self::Inline(table) => *table,
        }
    }

    fn as_table_like_mut(&mut self) -> &mut dyn TableLike {
        match self {
            Self::Table(table) => *table,
            Self::Inline(table) => *table,
        }
    }

    /// Returns the string at `key`.
    pub(super) fn string(&self, key: &str) -> Option<&str> {
        self.as_table_like().get(key)?.as_str()
    }

    /// Writes `enabled = false`, or removes it. A comment beside the key stays, and the key with it.
    pub(super) fn set_enabled(&mut self, enabled: bool) {
        let Some((key, item)) = self.as_table_like().get_key_value(ENABLED) else {
            if !enabled {
                self.set(ENABLED, false.into());
            }
            return;
        };
        let around = [key.leaf_decor().prefix(), item.as_value().and_then(|value| value.decor().suffix())];
        let has_comment = around.into_iter().any(|around| text(around).contains('#'));
        match self {
            Self::Table(table) if enabled && !has_comment => drop(table.remove(ENABLED)),
            // The entry of an inline table holds the spaces around the others.
            _ => self.set(ENABLED, enabled.into()),
        }
    }

    /// Sets the value of `key` in its place, or behind the other keys.
    pub(super) fn set(&mut self, key: &str, mut value: Value) {
        if let Some(present) = self.as_table_like_mut().get_mut(key).and_then(Item::as_value_mut) {
            *value.decor_mut() = present.decor().clone();
            *present = value;
            return;
        }
        match self {
            Self::Table(table) => drop(table.insert(key, Item::Value(value))),
            Self::Inline(table) => {
                let last = table.iter_mut().last();
                let mut indent = String::new();
                if let Some((key, last)) = last {
                    value.decor_mut().set_prefix(" ");
                    value.decor_mut().set_suffix(text(last.decor().suffix()));
                    last.decor_mut().set_suffix("");
                    // A table over several lines has each key on one.
                    indent = text(key.leaf_decor().prefix())
                        .rsplit_once('\n')
                        .map_or(String::new(), |(_, indent)| format!("\n{indent}"));
                }
                let mut key = Key::from(key);
                if !indent.is_empty() {
                    key.leaf_decor_mut().set_prefix(indent);
                    key.leaf_decor_mut().set_suffix(" ");
                }
                table.insert_formatted(&key, value);
            }
        }
    }

    /// Returns the keys of the table itself.
    pub(super) fn keys(&self) -> Vec<KeyLine> {
        let lines = self.as_table_like().get(PUBLIC_KEYS).and_then(Item::as_array);
        let lines = lines.into_iter().flatten().filter_map(Value::as_str);
        lines.filter_map(KeyLine::parse).collect()
    }

    pub(super) fn has_keys(&self) -> bool {
        self.as_table_like().contains_key(PUBLIC_KEYS)
    }

    pub(super) fn has_password(&self) -> bool {
        [PASSWORD_HASH, "password_hash_file"].into_iter().any(|key| self.as_table_like().contains_key(key))
    }

    pub(super) fn add_key(&mut self, key: &KeyLine) {
        match self.as_table_like_mut().get_mut(PUBLIC_KEYS).and_then(Item::as_array_mut) {
            Some(keys) => array::push(keys, key.line.as_str().into()),
            None => self.set(PUBLIC_KEYS, Array::from_iter([key.line.as_str()]).into()),
        }
    }

    /// Removes each line that states the key with this fingerprint.
    pub(super) fn remove_key(&mut self, fingerprint: &str) {
        let Some(keys) = self.as_table_like_mut().get_mut(PUBLIC_KEYS).and_then(Item::as_array_mut) else { return };
        let is_it =
            |line: &Value| line.as_str().and_then(KeyLine::parse).is_some_and(|key| key.fingerprint == fingerprint);
        for index in (0..keys.len()).rev() {
            if keys.get(index).is_some_and(is_it) {
                array::remove(keys, index);
            }
        }
    }

    pub(super) fn set_password_hash(&mut self, hash: &str) {
        self.set(PASSWORD_HASH, hash.into());
    }
}

fn is_named(user: &dyn TableLike, name: &UserName) -> bool {
    user.get("name").and_then(Item::as_str) == Some(name.as_str())
}
