use proptest::prelude::*;
use rstest::rstest;

use super::*;

fn parse(text: &str) -> Value {
    Value::parse(text).unwrap()
}

fn map<const N: usize>(pairs: [(&str, Value); N]) -> Value {
    let pairs = pairs.into_iter().map(|(key, value)| (key.into(), value));
    Value::Map(pairs.collect())
}

#[rstest]
#[case("yes", Value::Bool(true))]
#[case("on", Value::Bool(true))]
#[case("y", Value::Bool(true))]
#[case("Off", Value::Bool(false))]
#[case("yEs", "yEs".into())]
#[case("0123", Value::Int(83))]
#[case("0o17", Value::Int(15))]
#[case("0b101", Value::Int(5))]
#[case("-0x1F", Value::Int(-31))]
#[case("1_000", Value::Int(1000))]
#[case("+12", Value::Int(12))]
#[case("0129", Value::Int(129))]
#[case("18446744073709551615", Value::Int(18_446_744_073_709_551_615))]
#[case("-18446744073709551615", Value::Float(-18_446_744_073_709_552_000.0))]
#[case("12:30:45", "12:30:45".into())]
#[case("2001-01-01", "2001-01-01".into())]
#[case("1.5", Value::Float(1.5))]
#[case("1e3", Value::Int(1000))]
#[case("1.0", Value::Int(1))]
#[case(".5", Value::Float(0.5))]
#[case(".inf", Value::Float(f64::INFINITY))]
#[case("~", Value::Null)]
#[case("", Value::Null)]
#[case("1G", "1G".into())]
#[case("1.2.3", "1.2.3".into())]
#[case("'123'", "123".into())]
#[case("!!str 123", "123".into())]
#[case("!!int '12'", Value::Int(12))]
#[case("!!binary aGk=", "hi".into())]
#[case("!mine x", "x".into())]
fn scalars_are_as_the_cf_cli_reads_them(#[case] text: &str, #[case] expected: Value) {
    assert_eq!(parse(text), expected);
    assert_eq!(parse(&format!("a: {text}")), map([("a", expected)]));
}

/// Ruby quotes only strings that Ruby would read as another type.
#[rstest]
#[case("089", "089".into())]
#[case("1e5", "1e5".into())]
#[case("1.5e3", "1.5e3".into())]
#[case("0o17", "0o17".into())]
#[case("yEs", "yEs".into())]
#[case("1.", "1.".into())]
#[case("'123'", "123".into())]
#[case("0", Value::Int(0))]
#[case("-1", Value::Int(-1))]
#[case("1024", Value::Int(1024))]
#[case("1.5", Value::Float(1.5))]
#[case("-0.25", Value::Float(-0.25))]
#[case("1.0e-05", Value::Float(1e-5))]
#[case("true", Value::Bool(true))]
#[case("", Value::Null)]
fn scalars_of_the_cloud_controller_are_as_ruby_writes_them(
    #[case] text: &str,
    #[case] expected: Value,
) {
    let read = Value::parse_of_cloud_controller(&format!("a: {text}\n"));
    assert_eq!(read, Ok(map([("a", expected)])));
}

#[rstest]
#[case("{a: 1, a: 2}", "{a: 2}")]
#[case("a: &x {b: 1}\nc: *x", "{a: {b: 1}, c: {b: 1}}")]
#[case("a: &x {b: 1}\nc: {<<: *x, d: 2}", "{a: {b: 1}, c: {b: 1, d: 2}}")]
#[case("a: &x {b: 1}\nc: {<<: *x, b: 2}", "{a: {b: 1}, c: {b: 2}}")]
#[case("a: &x {b: 1}\nc: {b: 2, <<: *x}", "{a: {b: 1}, c: {b: 1}}")]
#[case("c: {<<: [{b: 1}, {b: 2, d: 3}]}", "{c: {b: 1, d: 3}}")]
#[case("a: 1\n---\n: [", "{a: 1}")]
#[case("---\n...\n", "~")]
#[case("\u{feff}a: 1", "{a: 1}")]
fn structure_is_as_the_cf_cli_reads_it(#[case] text: &str, #[case] same: &str) {
    assert_eq!(parse(text), parse(same));
}

#[rstest]
#[case("a: [", "line 1")]
#[case("a: 1\n b: 2", "line 2")]
#[case("? [a]\n: 1", "a key is a list, must be a scalar")]
#[case("a: *none", "line 1")]
#[case("a: &x [*x]", "line 1")]
#[case("<<: 1", "`<<` merges a map or a list of maps")]
#[case("!!int x", "a value does not match its tag !!int")]
#[case("!!binary ///", "a !!binary value is not base64")]
fn invalid_yaml_is_refused(#[case] text: &str, #[case] expected: &str) {
    let error = Value::parse(text).unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
}

#[test]
fn texts_that_look_like_numbers_are_quoted() {
    for text in ["0:30", "12:30:45", "1,000", "1_000", "10.0.0.1", "+1"] {
        let rendered = Value::from(text).render();
        assert_eq!(rendered.trim_end(), format!("\"{text}\""));
    }
    assert_eq!(Value::from("64M").render().trim_end(), "64M");
}

#[test]
fn keys_can_be_kept_as_texts() {
    let value = Value::parse_with_text_keys("y: {n: 1}\n1: 2").unwrap();
    assert_eq!(value, map([("y", parse("{n: 1}")), ("1", Value::Int(2))]));
}

#[test]
fn depth_and_size_have_bounds() {
    let deep = "[".repeat(100_000);
    assert!(Value::parse(&deep).is_err());
    let chain = (1..40).fold("a0: &a0 [1]\n".to_owned(), |text, i| {
        format!("{text}a{i}: &a{i} [[[[[*a{}]]]]]\n", i - 1)
    });
    let error = Value::parse(&chain).unwrap_err().to_string();
    assert!(error.contains("deep"), "{error}");
    let bomb = (1..10).fold("a0: &a0 [1, 1]\n".to_owned(), |text, i| {
        let aliases = vec![format!("*a{}", i - 1); 10].join(", ");
        format!("{text}a{i}: &a{i} [{aliases}]\n")
    });
    let error = Value::parse(&bomb).unwrap_err().to_string();
    assert!(error.contains("values"), "{error}");
}

#[rstest]
#[case(1.5, "1.5")]
#[case(1e6, "1e+06")]
#[case(123_456.5, "123456.5")]
#[case(1.5e-7, "1.5e-07")]
#[case(0.0001, "0.0001")]
fn floats_are_written_as_the_cf_cli_does(#[case] number: f64, #[case] expected: &str) {
    assert_eq!(float_text(number), expected);
}

fn scalars() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(|number| Value::Int(number.into())),
        any::<f64>()
            .prop_filter("comparable", |number| !number.is_nan())
            .prop_map(float),
        any::<String>().prop_map(Value::Text),
        "[yYnN~.0-9eEx_:+ob-]{1,6}".prop_map(Value::Text),
        "(yes|no|on|off|null|<<|=|---|\\.\\.\\.|2001-01-01|12:30|- a|a: b|a #b|\n|\t| )*"
            .prop_map(Value::Text),
    ]
}

fn values() -> impl Strategy<Value = Value> {
    scalars().prop_recursive(4, 40, 5, |inner| {
        let pairs = prop::collection::vec((scalars(), inner.clone()), 0..5);
        prop_oneof![
            prop::collection::vec(inner, 0..5).prop_map(Value::List),
            pairs.prop_map(|pairs| Value::Map(pairs.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn written_values_read_the_same(value in values()) {
        let text = value.render();
        prop_assert_eq!(Value::parse(&text), Ok(value), "{}", text);
    }

    #[test]
    fn no_text_panics(text in "(a|1|: |- |\\[|\\]|\\{|\\}|, |\n|  |&x |\\*x|<<|!!int |\"|'|\\||>|#|%|\\?|---\n|\u{feff}|é)*") {
        if let Ok(value) = Value::parse(&text) {
            prop_assert_eq!(Value::parse(&value.render()), Ok(value));
        }
    }
}
