//! The options of a store: defaulted, checked, then handed on as one plain value. Knows the names
//! and forms of the options that every backend takes, and lets each backend add its own; not what a
//! backend does with them. A URL may carry a password, so no message here repeats more of it than
//! its scheme.

use std::{collections::BTreeMap, fmt, sync::Arc};

use serde_json::Value;

pub use self::form::Form;
use self::form::{check, from_text, nearest, wrong};
use crate::{backend::Backend, error::Result, transport::Transport};

mod form;

/// Seconds a session lives when neither its cookie nor the `ttl` option says, as in
/// connect-redis.
pub const DEFAULT_TTL_S: f64 = 86_400.0;
/// Largest session, in bytes, unless `maxSessionBytes` says otherwise.
pub const DEFAULT_MAX_SESSION_BYTES: usize = 1 << 20;
/// How long a call may take, in ms, unless `commandTimeout` says otherwise.
pub const DEFAULT_COMMAND_TIMEOUT_MS: u64 = 2000;

/// What the registry knows of a backend.
#[derive(Debug)]
pub struct Registration {
    /// The name users read in errors and statistics.
    pub name: &'static str,
    /// The URL schemes that choose it.
    pub schemes: &'static [&'static str],
    /// Seconds a session lives by default.
    pub default_ttl_s: f64,
    /// Options that it takes beside those of every backend.
    pub options: &'static [(&'static str, Form)],
    /// Whether a URL parameter that is no option is the place's own affair.
    pub foreign_parameters: bool,
    /// Opens the place that the options name.
    pub open: fn(&Options) -> Result<Arc<dyn Backend>>,
}

/// A store's options, checked.
#[derive(Clone)]
pub struct Options {
    /// The backend that the URL chose.
    pub backend: &'static Registration,
    /// The URL's scheme, in lower case, without the colon.
    pub scheme: &'static str,
    /// What follows the scheme's colon in the URL, without parameters, as it was given.
    pub place: String,
    /// The URL's parameters that are no options, decoded; only for a backend that takes such.
    pub parameters: Vec<(String, String)>,
    /// See `prefix` in index.d.ts; each backend has its own default.
    pub prefix: Option<String>,
    /// `ttl` in ms.
    pub ttl_ms: u64,
    /// `touchAfter` in ms.
    pub touch_after_ms: u64,
    /// Largest session in bytes.
    pub max_session_bytes: usize,
    /// Whether concurrent saves are merged.
    pub merge: bool,
    /// Top-level keys that are merged as one unit.
    pub atomic: Vec<String>,
    /// `commandTimeout`: the deadline of a call that is not answered inside it, in ms.
    pub command_timeout_ms: u64,
    /// Who reads and writes for a backend that lets others do so. Not a user's option.
    pub transport: Option<Arc<dyn Transport>>,
    own: BTreeMap<&'static str, Value>,
}

/// Without the place, which may carry a password.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("backend", &self.backend.name).finish_non_exhaustive()
    }
}

/// The options that every backend takes, with the form its value must have.
const OPTIONS: [(&str, Form); 8] = [
    ("url", Form::Text),
    ("prefix", Form::Text),
    ("ttl", Form::Ttl),
    ("touchAfter", Form::Seconds),
    ("maxSessionBytes", Form::Count),
    ("merge", Form::Switch),
    ("atomic", Form::Names),
    ("serializer", Form::Serializer),
];

impl Options {
    /// Reads the options, for the backends in `registry`, from the JSON text of the object that the
    /// user gave. What JSON cannot say stands in it as an object of one key: `{"function":true}`,
    /// `{"number":"NaN"}`.
    pub fn parse(json: &str, registry: &'static [Registration]) -> Result<Options> {
        let given = match serde_json::from_str(json) {
            Ok(Value::Object(given)) => given,
            _ => return Err(wrong("the options are not an object".into())),
        };
        let url = match given.get("url") {
            Some(value) => {
                check("url", Form::Text, value)?;
                value.as_str().unwrap_or_default()
            }
            None => "memory:",
        };
        let Url { backend, scheme, place, parameters } = split(url, registry)?;
        let mut own: BTreeMap<&'static str, Value> = BTreeMap::new();
        for (name, value) in &given {
            let (name, form) = known(name, &format!("unknown option {name:?}"), backend, registry)?;
            check(name, form, value)?;
            if name != "url" {
                own.insert(name, value.clone());
            }
        }
        let mut foreign = Vec::new();
        // What stands here may be the rest of a password with a "?" or a "&" in it, and is then not repeated.
        let may_be_secret =
            parameters.contains('@') || parameters.to_ascii_lowercase().contains("password");
        for (index, (name, text)) in form_urlencoded::parse(parameters.as_bytes()).enumerate() {
            let told = match may_be_secret {
                true => format!(
                    "parameter {} is no option (a \"?\" or \"&\" in a password has to be percent-encoded)",
                    index + 1
                ),
                false => format!("unknown option {name:?}"),
            };
            let (name, form) = match known(&name, &told, backend, registry) {
                Ok(known) => known,
                Err(_) if backend.foreign_parameters => {
                    foreign.push((name.into_owned(), text.into_owned()));
                    continue;
                }
                Err(error) => return Err(wrong(format!("in the URL: {}", error.message()))),
            };
            let value = from_text(name, form, &text)?;
            if own.insert(name, value).is_some() {
                return Err(wrong(format!(
                    "\"{name}\" is given twice; give it once, in the URL or as an option"
                )));
            }
        }
        let mut options = Options {
            backend,
            scheme,
            place,
            parameters: foreign,
            prefix: None,
            ttl_ms: (backend.default_ttl_s * 1000.0) as u64,
            touch_after_ms: 0,
            max_session_bytes: DEFAULT_MAX_SESSION_BYTES,
            merge: true,
            atomic: vec!["passport".into(), "user".into()],
            command_timeout_ms: DEFAULT_COMMAND_TIMEOUT_MS,
            transport: None,
            own,
        };
        options.prefix = options.text("prefix").map(str::to_owned);
        let ms = |seconds: f64| (seconds * 1000.0).round() as u64;
        options.ttl_ms = options.number("ttl").map_or(options.ttl_ms, ms);
        options.touch_after_ms = options.number("touchAfter").map_or(0, ms);
        options.max_session_bytes =
            options.number("maxSessionBytes").map_or(options.max_session_bytes, |n| n as usize);
        options.merge = options.switch("merge").unwrap_or(true);
        if let Some(Value::Array(names)) = options.own.get("atomic") {
            options.atomic = names.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        }
        options.command_timeout_ms =
            options.number("commandTimeout").map_or(options.command_timeout_ms, |ms| ms as u64);
        Ok(options)
    }

    /// The value of an option that is a string.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.own.get(name).and_then(Value::as_str)
    }

    /// The value of an option that is a number, in its own unit.
    pub fn number(&self, name: &str) -> Option<f64> {
        self.own.get(name).and_then(Value::as_f64)
    }

    /// The value of an option that is true or false.
    pub fn switch(&self, name: &str) -> Option<bool> {
        self.own.get(name).and_then(Value::as_bool)
    }
}

/// The option of a name. `unknown` begins the message where there is none.
fn known(
    name: &str,
    unknown: &str,
    backend: &'static Registration,
    registry: &'static [Registration],
) -> Result<(&'static str, Form)> {
    let all = || OPTIONS.iter().chain(backend.options);
    if let Some(known) = all().find(|(known, _)| *known == name) {
        return Ok(*known);
    }
    let others: Vec<&str> = registry
        .iter()
        .filter(|other| other.options.iter().any(|(known, _)| *known == name))
        .map(|other| other.name)
        .collect();
    if !others.is_empty() {
        let others = others.join(" and ");
        return Err(wrong(format!(
            "\"{name}\" is an option of {others}, and not of {}",
            backend.name
        )));
    }
    let names: Vec<&str> = all().map(|(known, _)| *known).collect();
    let hint = match nearest(name, &names) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => format!("there are: {}", names.join(", ")),
    };
    Err(wrong(format!("{unknown}; {hint}")))
}

struct Url<'u> {
    backend: &'static Registration,
    scheme: &'static str,
    place: String,
    parameters: &'u str,
}

/// Splits `scheme:place?parameters`.
fn split<'u>(url: &'u str, registry: &'static [Registration]) -> Result<Url<'u>> {
    let schemes: Vec<&str> =
        registry.iter().flat_map(|entry| entry.schemes.iter().copied()).collect();
    let Some((scheme, rest)) = url.split_once(':') else {
        return Err(wrong(format!(
            "\"url\" has no scheme; it begins with one of: {}",
            schemes.iter().map(|scheme| format!("{scheme}:")).collect::<Vec<_>>().join(", ")
        )));
    };
    let lower = scheme.to_ascii_lowercase();
    let found = registry.iter().find_map(|entry| {
        entry.schemes.iter().find(|known| **known == lower).map(|known| (entry, *known))
    });
    let Some((backend, known)) = found else {
        let hint = match nearest(scheme, &schemes) {
            Some(near) => format!("did you mean \"{near}:\"?"),
            None => format!("there are: {}", schemes.join(", ")),
        };
        return Err(wrong(format!("\"url\" names the unknown backend \"{scheme}:\"; {hint}")));
    };
    let (place, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    Ok(Url { backend, scheme: known, place: place.to_owned(), parameters })
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
        assert_eq!(options.backend.name, "memory");
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
            "\"ttl\" must be a number of seconds, 0.001 or more and 8640000000000 at most, or a function that returns one; got NaN"
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
        assert_eq!(options.number("max"), Some(5.0));
        assert_eq!(options.prefix.as_deref(), Some("a b"));
        assert!(!options.merge);
        assert!(refusal(r#"{"url":"memory:a?max=5","max":5}"#).contains("given twice"));
        let misspelled = refusal(r#"{"url":"memory:a?maks=5"}"#);
        assert!(misspelled.contains("unknown option \"maks\"; did you mean \"max\"?"));
        assert!(refusal(r#"{"url":"memry:a"}"#).contains("did you mean \"memory:\"?"));
        assert!(refusal(r#"{"url":"app"}"#).contains("no scheme"));
    }

    #[test]
    fn no_message_repeats_a_secret() {
        let refused = refusal(r#"{"url":"nosuch://user:hunter2@host"}"#);
        assert!(!refused.contains("hunter2"), "{refused}");
        // Passwords with characters that end them.
        for url in [
            "redis://u:hunter2?hunter2@host",
            "redis://host?sentinelPassword=sec&hunter2",
            "redis://:p?db=hunter2@host",
            "redis://:p?passThrough=hunter2@host",
        ] {
            let refused = refusal(&format!("{{\"url\":\"{url}\"}}"));
            assert!(!refused.contains("hunter2"), "{refused}");
        }
    }
}
