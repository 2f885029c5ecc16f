//! The rules that the values of all settings obey.

use std::{ffi::OsString, fmt, fs::File, io::Read, ops::RangeInclusive, str::FromStr};

use secrecy::SecretString;

use super::{InvalidSetting, invalid};

/// A file with a longer secret is rejected. Devices such as `/dev/zero` have no end.
const MAX_SECRET_FILE_BYTES: u64 = 64 * 1024;

/// Reads the values of settings by the names of their variables.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a>(pub(crate) &'a dyn Fn(&str) -> Option<OsString>);

impl Source<'_> {
    /// Returns the value of a setting. An empty value counts as unset, because compose files pass
    /// on variables that are not set.
    ///
    /// # Errors
    /// When the value is not UTF-8 or is unclean.
    pub(crate) fn get(&self, name: &'static str) -> Result<Option<String>, InvalidSetting> {
        let Some(value) = self.0(name).filter(|value| !value.is_empty()) else { return Ok(None) };
        let text = value.into_string().map_err(|_| InvalidSetting::new(name, "must be UTF-8"))?;
        match unclean(&text) {
            Some(unclean) => invalid(name, format!("must not have {unclean}")),
            None => Ok(Some(text)),
        }
    }

    /// Returns a value that `parse` accepts.
    pub(super) fn parsed<T, E: fmt::Display>(
        &self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<T>, InvalidSetting> {
        let Some(value) = self.get(name)? else { return Ok(None) };
        parse(&value).map(Some).map_err(|error| InvalidSetting::new(name, error))
    }

    /// Returns an integer within the bounds.
    pub(super) fn integer<T: FromStr + PartialOrd + fmt::Display>(
        &self,
        name: &'static str,
        bounds: RangeInclusive<T>,
    ) -> Result<Option<T>, InvalidSetting> {
        let Some(value) = self.get(name)? else { return Ok(None) };
        let number = value.parse().ok().filter(|number| bounds.contains(number));
        number.map(Some).ok_or_else(|| {
            let (min, max) = (bounds.start(), bounds.end());
            InvalidSetting::new(name, format!("must be an integer from {min} to {max}"))
        })
    }

    /// Returns a secret from its variable, or from the file that another setting names.
    pub(super) fn secret(
        &self,
        name: &'static str,
        file_name: &'static str,
    ) -> Result<Option<SecretString>, InvalidSetting> {
        match (self.get(name)?, self.get(file_name)?) {
            (Some(_), Some(_)) => {
                invalid(file_name, format!("must not be set together with {name}"))
            }
            (None, Some(path)) => read_secret(&path)
                .map(Some)
                .map_err(|problem| InvalidSetting::new(file_name, problem)),
            (value, None) => Ok(value.map(SecretString::from)),
        }
    }
}

pub(super) fn read_secret(path: &str) -> Result<SecretString, String> {
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(MAX_SECRET_FILE_BYTES + 1).read_to_string(&mut text))
        .map_err(|error| format!("must name a file that can be read: {}", error.kind()))?;
    // Editors and `echo` end a file with one line break.
    let secret =
        text.strip_suffix('\n').map_or(&*text, |line| line.strip_suffix('\r').unwrap_or(line));
    if secret.is_empty() {
        return Err("must name a file that is not empty".to_owned());
    }
    if text.len() as u64 > MAX_SECRET_FILE_BYTES {
        return Err(format!("must name a file of at most {MAX_SECRET_FILE_BYTES} bytes"));
    }
    match unclean(secret) {
        Some(unclean) => {
            Err(format!("must name a file without {unclean}, except for one line break at its end"))
        }
        None => Ok(secret.into()),
    }
}

/// What makes a text invalid for every setting, if anything does. A secret that ends with a line
/// break, or a file with CRLF, would otherwise name another database, directory or role.
fn unclean(text: &str) -> Option<&'static str> {
    if text.contains(char::is_control) {
        return Some("control characters, such as a line break");
    }
    (text.trim() != text).then_some("white space at its beginning or end")
}
