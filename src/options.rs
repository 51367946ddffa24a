//! The options of a store: defaulted, checked, then handed on as one plain value. Knows the names
//! and forms of options, not what a backend does with them. A URL may carry a password, so no
//! message here repeats more of it than its scheme.

use std::{collections::BTreeMap, fmt, sync::Arc};

use serde_json::Value;

use crate::{
    backend::Backend,
    error::{Error, Kind, Result},
};

/// Seconds a session lives when neither its cookie nor the `ttl` option says, as in
/// connect-redis.
pub const DEFAULT_TTL_S: f64 = 86_400.0;
/// Largest session, in bytes, unless `maxSessionBytes` says otherwise.
pub const DEFAULT_MAX_SESSION_BYTES: usize = 1 << 20;

/// What the registry knows of a backend.
#[derive(Debug)]
pub struct Registration {
    /// The URL scheme that chooses it.
    pub scheme: &'static str,
    /// Seconds a session lives by default.
    pub default_ttl_s: f64,
    /// Whether it takes `max` and `maxBytes`.
    pub bounded: bool,
    /// Opens the place that the options name.
    pub open: fn(&Options) -> Result<Arc<dyn Backend>>,
}

/// A store's options, checked.
#[derive(Clone)]
pub struct Options {
    /// The backend that the URL chose.
    pub backend: &'static Registration,
    /// What follows the scheme in the URL, without parameters.
    pub place: String,
    /// See `prefix` in index.d.ts; each backend has its own default.
    pub prefix: Option<String>,
    /// `ttl` in ms.
    pub ttl_ms: u64,
    /// `touchAfter` in ms.
    pub touch_after_ms: u64,
    /// Most sessions to keep.
    pub max: Option<usize>,
    /// Most bytes to keep.
    pub max_bytes: Option<usize>,
    /// Largest session in bytes.
    pub max_session_bytes: usize,
    /// Whether concurrent saves are merged.
    pub merge: bool,
    /// Top-level keys that are merged as one unit.
    pub atomic: Vec<String>,
}

/// Without the place, which may carry a password.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("backend", &self.backend.scheme).finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Form {
    Text,
    /// Seconds, at least a millisecond of them, or a function that the binding keeps.
    Ttl,
    /// Seconds, zero included.
    Seconds,
    /// A whole number from 1.
    Count,
    Switch,
    Names,
    /// `{ stringify, parse }`, kept by the binding.
    Serializer,
}

impl Form {
    fn wanted(self) -> &'static str {
        match self {
            Form::Text => "a string",
            Form::Ttl => "a number of seconds, 0.001 or more, or a function that returns one",
            Form::Seconds => "a number of seconds, 0 or more",
            Form::Count => "a whole number, 1 or more",
            Form::Switch => "true or false",
            Form::Names => "an array of strings",
            Form::Serializer => "an object with the functions stringify and parse",
        }
    }
}

/// Every option, with the form its value must have.
const OPTIONS: [(&str, Form); 10] = [
    ("url", Form::Text),
    ("prefix", Form::Text),
    ("ttl", Form::Ttl),
    ("touchAfter", Form::Seconds),
    ("max", Form::Count),
    ("maxBytes", Form::Count),
    ("maxSessionBytes", Form::Count),
    ("merge", Form::Switch),
    ("atomic", Form::Names),
    ("serializer", Form::Serializer),
];

/// The largest number of seconds whose milliseconds a JavaScript date can still hold.
const MAX_SECONDS: f64 = 8.64e12;

fn wrong(message: String) -> Error {
    Error::new(Kind::Config, message)
}

impl Options {
    /// Reads the options, for the backends in `registry`, from the JSON text of the object that the user gave. What JSON cannot say
    /// stands in it as an object of one key: `{"function":true}`, `{"number":"NaN"}`.
    pub fn parse(json: &str, registry: &'static [Registration]) -> Result<Options> {
        let given = match serde_json::from_str(json) {
            Ok(Value::Object(given)) => given,
            _ => return Err(wrong("the options are not an object".into())),
        };
        let mut values: BTreeMap<&'static str, Value> = BTreeMap::new();
        for (name, value) in given {
            let (name, form) = known(&name)?;
            check(name, form, &value)?;
            values.insert(name, value);
        }

        let url = match values.remove("url") {
            Some(Value::String(url)) => url,
            _ => "memory:".into(),
        };
        let (backend, place, parameters) = split(&url, registry)?;
        for (name, text) in form_urlencoded::parse(parameters.as_bytes()) {
            let (name, form) =
                known(&name).map_err(|error| wrong(format!("in the URL: {}", error.message())))?;
            let value = from_text(name, form, &text)?;
            if values.insert(name, value).is_some() {
                return Err(wrong(format!(
                    "\"{name}\" is given twice; give it once, in the URL or as an option"
                )));
            }
        }
        for name in ["max", "maxBytes"] {
            if values.contains_key(name) && !backend.bounded {
                return Err(wrong(format!("\"{name}\" is not an option of {}", backend.scheme)));
            }
        }

        let text = |name: &str| values.get(name).and_then(Value::as_str).map(str::to_owned);
        let ms = |name: &str| {
            values.get(name).and_then(Value::as_f64).map(|s| (s * 1000.0).round() as u64)
        };
        let count = |name: &str| values.get(name).and_then(Value::as_f64).map(|n| n as usize);
        Ok(Options {
            backend,
            place,
            prefix: text("prefix"),
            ttl_ms: ms("ttl").unwrap_or((backend.default_ttl_s * 1000.0) as u64),
            touch_after_ms: ms("touchAfter").unwrap_or(0),
            max: count("max"),
            max_bytes: count("maxBytes"),
            max_session_bytes: count("maxSessionBytes").unwrap_or(DEFAULT_MAX_SESSION_BYTES),
            merge: values.get("merge").and_then(Value::as_bool).unwrap_or(true),
            atomic: match values.get("atomic") {
                Some(Value::Array(names)) => {
                    names.iter().filter_map(Value::as_str).map(str::to_owned).collect()
                }
                _ => vec!["passport".into(), "user".into()],
            },
        })
    }
}

fn known(name: &str) -> Result<(&'static str, Form)> {
    OPTIONS.into_iter().find(|(known, _)| *known == name).ok_or_else(|| {
        let names = OPTIONS.map(|(known, _)| known);
        let hint = match nearest(name, &names) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => format!("there are: {}", names.join(", ")),
        };
        wrong(format!("unknown option {name:?}; {hint}"))
    })
}

/// The name that `name` is most likely a slip of, if any is near enough.
fn nearest<'a>(name: &str, names: &[&'a str]) -> Option<&'a str> {
    let name = name.to_lowercase();
    names
        .iter()
        .map(|known| (strsim::damerau_levenshtein(&name, &known.to_lowercase()), *known))
        .min()
        .filter(|(distance, known)| *distance <= 2.max(known.len() / 3) && *distance < known.len())
        .map(|(_, known)| known)
}

fn check(name: &str, form: Form, value: &Value) -> Result<()> {
    let is_function = |value: &Value| value.get("function").is_some();
    let fits = match (form, value) {
        (Form::Text, Value::String(_)) | (Form::Switch, Value::Bool(_)) => true,
        (Form::Ttl, Value::Number(_)) => {
            value.as_f64().is_some_and(|seconds| (0.001..=MAX_SECONDS).contains(&seconds))
        }
        (Form::Ttl, value) => is_function(value),
        (Form::Seconds, Value::Number(_)) => {
            value.as_f64().is_some_and(|seconds| (0.0..=MAX_SECONDS).contains(&seconds))
        }
        (Form::Count, Value::Number(_)) => value
            .as_f64()
            .is_some_and(|count| count >= 1.0 && count.fract() == 0.0 && count < 2f64.powi(53)),
        (Form::Names, Value::Array(names)) => names.iter().all(Value::is_string),
        (Form::Serializer, value) => {
            ["stringify", "parse"].iter().all(|member| value.get(member).is_some_and(is_function))
        }
        _ => false,
    };
    if fits {
        return Ok(());
    }
    let got = match value {
        // A prefix or URL may be a secret; its kind says enough.
        Value::String(_) => "a string".into(),
        Value::Object(members) => match members.iter().next() {
            Some((kind, Value::String(text))) if kind == "number" => text.clone(),
            Some((kind, _)) if kind == "function" => "a function".into(),
            _ => "an object".into(),
        },
        value => value.to_string(),
    };
    Err(wrong(format!("\"{name}\" must be {}; got {got}", form.wanted())))
}

/// Splits `scheme:place?parameters`.
fn split<'u>(
    url: &'u str,
    registry: &'static [Registration],
) -> Result<(&'static Registration, String, &'u str)> {
    let schemes: Vec<&str> = registry.iter().map(|entry| entry.scheme).collect();
    let Some((scheme, rest)) = url.split_once(':') else {
        return Err(wrong(format!(
            "\"url\" has no scheme; it begins with one of: {}",
            schemes.iter().map(|scheme| format!("{scheme}:")).collect::<Vec<_>>().join(", ")
        )));
    };
    let lower = scheme.to_ascii_lowercase();
    let Some(backend) = registry.iter().find(|entry| entry.scheme == lower) else {
        let hint = match nearest(scheme, &schemes) {
            Some(near) => format!("did you mean \"{near}:\"?"),
            None => format!("there are: {}", schemes.join(", ")),
        };
        return Err(wrong(format!("\"url\" names the unknown backend \"{scheme}:\"; {hint}")));
    };
    let (place, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    Ok((backend, place.to_owned(), parameters))
}

/// The value of a URL parameter, in the form its option has.
fn from_text(name: &str, form: Form, text: &str) -> Result<Value> {
    let value = match form {
        Form::Text if name != "url" => Value::from(text),
        Form::Ttl | Form::Seconds | Form::Count => match text.parse::<f64>() {
            Ok(number) if number.is_finite() && !text.is_empty() => Value::from(number),
            _ => {
                return Err(wrong(format!(
                    "\"{name}\" in the URL must be {}; got {text:?}",
                    form.wanted()
                )));
            }
        },
        Form::Switch => match text {
            "true" => Value::from(true),
            "false" => Value::from(false),
            _ => {
                return Err(wrong(format!(
                    "\"{name}\" in the URL must be true or false; got {text:?}"
                )));
            }
        },
        Form::Names => text.split(',').filter(|name| !name.is_empty()).collect(),
        _ => return Err(wrong(format!("\"{name}\" cannot be given in the URL"))),
    };
    check(name, form, &value)?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backends::REGISTRY;

    fn parse(json: &str) -> Result<Options> {
        Options::parse(json, &REGISTRY)
    }

    fn refusal(json: &str) -> String {
        parse(json).expect_err(json).message().to_owned()
    }

    #[test]
    fn defaults() {
        let options = parse("{}").unwrap();
        assert_eq!(options.backend.scheme, "memory");
        assert_eq!(options.ttl_ms, 86_400_000);
        assert_eq!(options.max_session_bytes, 1 << 20);
        assert!(options.merge);
        assert_eq!(options.atomic, ["passport", "user"]);
    }

    #[test]
    fn a_misspelled_option_is_named_with_the_nearest() {
        assert!(refusal(r#"{"tll":5}"#).contains("did you mean \"ttl\"?"));
        assert!(refusal(r#"{"touchafter":5}"#).contains("did you mean \"touchAfter\"?"));
        assert!(refusal(r#"{"maxSesionBytes":5}"#).contains("did you mean \"maxSessionBytes\"?"));
        assert!(refusal(r#"{"colour":5}"#).contains("there are: url, prefix"));
    }

    #[test]
    fn zero_is_honoured_or_refused() {
        for name in ["ttl", "max", "maxBytes", "maxSessionBytes"] {
            assert!(refusal(&format!("{{\"{name}\":0}}")).contains(name));
        }
        assert_eq!(parse(r#"{"touchAfter":0}"#).unwrap().touch_after_ms, 0);
    }

    #[test]
    fn wrong_forms() {
        assert_eq!(
            refusal(r#"{"ttl":{"number":"NaN"}}"#),
            "\"ttl\" must be a number of seconds, 0.001 or more, or a function that returns one; got NaN"
        );
        assert!(refusal(r#"{"max":1.5}"#).ends_with("got 1.5"));
        assert!(refusal(r#"{"merge":"yes"}"#).ends_with("got a string"));
        assert!(refusal(r#"{"atomic":[1]}"#).contains("an array of strings"));
        assert!(refusal(r#"{"serializer":{"parse":{"function":true}}}"#).contains("stringify"));
        assert!(refusal(r#"{"prefix":null}"#).ends_with("got null"));
    }

    #[test]
    fn the_url_gives_place_and_options() {
        let options = parse(r#"{"url":"memory:app?max=5&prefix=a%20b&merge=false"}"#).unwrap();
        assert_eq!(options.place, "app");
        assert_eq!(options.max, Some(5));
        assert_eq!(options.prefix.as_deref(), Some("a b"));
        assert!(!options.merge);
        assert!(refusal(r#"{"url":"memory:a?max=5","max":5}"#).contains("given twice"));
        assert!(refusal(r#"{"url":"memory:a?maks=5"}"#).contains("did you mean \"max\"?"));
        assert!(refusal(r#"{"url":"memry:a"}"#).contains("did you mean \"memory:\"?"));
        assert!(refusal(r#"{"url":"app"}"#).contains("no scheme"));
    }

    #[test]
    fn no_message_repeats_a_secret() {
        let refused = refusal(r#"{"url":"nosuch://user:hunter2@host"}"#);
        assert!(!refused.contains("hunter2"), "{refused}");
    }
}
