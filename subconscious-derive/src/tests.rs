//! The expansion as text, and every mistake with its message and its token.

use std::path::Path;

use proc_macro2::{TokenStream, TokenTree};
use syn::{DeriveInput, parse_quote, parse_str};

use crate::errors::Errors;
use crate::{case::CASES, enumeration, model, read_enumeration, read_model};

fn pretty(tokens: TokenStream) -> String {
    prettyplease::unparse(&syn::parse2(tokens).unwrap())
}

/// Compares with the file, or writes it if the environment has `UPDATE_SNAPSHOTS`.
fn assert_snapshot(name: &str, tokens: TokenStream) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/snapshots").join(name);
    let found = pretty(tokens);
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, &found).unwrap();
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == wanted, "{name} differs; look at it with UPDATE_SNAPSHOTS=1 and git diff:\n{found}");
}

/// All mistakes of a model, each as its token and the first line of its message.
fn model_errors(input: &str) -> Vec<(String, String)> {
    // `parse_quote!` would not do: its tokens have no location.
    let input = parse_str(input).unwrap();
    listed(read_model(&input).1)
}

fn enum_errors(input: &str) -> Vec<(String, String)> {
    let input = parse_str(input).unwrap();
    listed(read_enumeration(&input).1)
}

fn listed(checked: syn::Result<()>) -> Vec<(String, String)> {
    let errors = checked.err().into_iter().flatten();
    errors
        .map(|error| {
            let message = error.to_string();
            (error.span().source_text().unwrap_or_default(), message.lines().next().unwrap_or_default().to_owned())
        })
        .collect()
}

#[track_caller]
fn assert_errors(found: &[(String, String)], wanted: &[(&str, &str)]) {
    let found = found.iter().map(|(token, message)| (&**token, &**message)).collect::<Vec<_>>();
    assert_eq!(found, wanted);
}

/// Asserts the errors of a model with a key and these further fields.
#[track_caller]
fn assert_field_errors(fields: &str, wanted: &[(&str, &str)]) {
    assert_errors(&model_errors(&format!("struct User {{ #[column(primary_key)] id: u64, {fields} }}")), wanted);
}

fn user() -> DeriveInput {
    parse_quote! {
        pub struct User {
            #[column(primary_key)]
            uuid: Uuid,
            name: String,
            #[column(index, sort)]
            age: u8,
            #[column(index)]
            level: Option<u32>,
            #[column(default = 7)]
            logins: u32,
            #[column(skip)]
            cache: Vec<String>,
        }
    }
}

fn gender() -> DeriveInput {
    parse_quote! {
        #[column(rename_all = "lowercase")]
        enum Gender {
            Male,
            #[column(rename = "größer")]
            Female,
        }
    }
}

#[test]
fn the_expansion_of_a_model() {
    assert_snapshot("model.rs", model(&user()));
}

#[test]
fn the_expansion_of_every_attribute() {
    let input = parse_quote! {
        #[model(name = "orders", ttl = "1h 30m", renew, crate = "other::path")]
        pub(crate) struct r#Order {
            #[column(composite_key)]
            shop: u32,
            #[column(composite_key, rename = "no")]
            number: Number,
            #[column(auto_increment, sort)]
            r#type: i64,
            #[column(default, rename = "größe")]
            size: u8,
            #[column(skip, default = Vec::new())]
            parts: Vec<Self>,
            #[column(unique)]
            slug: String,
            #[column(version)]
            version: u64,
            #[column(created_at, sort)]
            created: DateTime<Utc>,
            #[column(updated_at, default = SystemTime::UNIX_EPOCH)]
            updated: SystemTime,
        }
    };
    assert_snapshot("attributes.rs", model(&input));
}

#[test]
fn the_expansion_of_an_enum() {
    assert_snapshot("enum.rs", enumeration(&gender()));
}

#[test]
fn the_expansion_of_an_enum_with_other_values() {
    let kept = parse_quote! {
        enum Status {
            Open,
            #[column(other)]
            Other(String),
            Closed,
        }
    };
    assert_snapshot("enum_other.rs", enumeration(&kept));
    let dropped = parse_quote! {
        enum Status {
            Open,
            #[column(other)]
            Unknown,
        }
    };
    assert_snapshot("enum_unknown.rs", enumeration(&dropped));
}

#[test]
fn the_stand_in_of_a_model_with_a_mistake() {
    let input = parse_quote! {
        struct User {
            #[column(primary_key)]
            id: u64,
            #[column(indexd)]
            age: u8,
            #[column(version)]
            version: u64,
            #[column(created_at)]
            created: SystemTime,
        }
    };
    assert_snapshot("fallback.rs", model(&input));
}

#[test]
fn the_impl_of_a_model_with_three_fields_is_short() {
    let input = parse_quote! {
        struct User {
            #[column(primary_key)]
            uuid: Uuid,
            name: String,
            #[column(index, sort)]
            age: u8,
        }
    };
    let text = pretty(model(&input));
    let lines = text.lines().skip_while(|line| !line.starts_with("impl")).count();
    assert!(lines <= 60, "{lines} lines:\n{text}");
}

#[test]
fn nothing_bypasses_the_path_of_the_crate() {
    fn names(tokens: TokenStream, name: &str) -> bool {
        tokens.into_iter().any(|token| match token {
            TokenTree::Group(group) => names(group.stream(), name),
            TokenTree::Ident(ident) => ident == name,
            _ => false,
        })
    }
    let elsewhere = |mut input: DeriveInput, attribute| {
        assert!(input.attrs.iter().all(|attr| !attr.path().is_ident("model")));
        let attribute = syn::Ident::new(attribute, proc_macro2::Span::call_site());
        input.attrs.push(parse_quote!(#[#attribute(crate = other::path)]));
        input
    };
    let broken_model = parse_quote!(
        struct Broken {
            #[column(what)]
            id: u8,
        }
    );
    let broken_enum = parse_quote!(
        enum Broken {
            A(u8),
        }
    );
    for tokens in [
        model(&elsewhere(user(), "model")),
        model(&elsewhere(broken_model, "model")),
        enumeration(&elsewhere(gender(), "column")),
        enumeration(&elsewhere(broken_enum, "column")),
    ] {
        let text = tokens.to_string();
        assert!(text.contains("other :: path :: __private"), "{text}");
        for name in ["subconscious", "std", "alloc"] {
            assert!(!names(tokens.clone(), name), "{name} in {text}");
        }
    }
    assert!(names(model(&user()), "subconscious"));
}

#[test]
fn a_model_has_exactly_one_key() {
    assert_errors(
        &model_errors("struct User { id: u8 }"),
        &[(
            "User",
            "`User` has no key: mark one field with `#[column(primary_key)]`, or two or more with `#[column(composite_key)]`",
        )],
    );
    assert_errors(
        &model_errors("struct User { #[column(primary_key)] a: u8, #[column(primary_key)] b: u8 }"),
        &[(
            "primary_key",
            "a second `primary_key`: a model has one; mark each column of a key of several with `composite_key`",
        )],
    );
    assert_errors(
        &model_errors("struct User { #[column(composite_key)] a: u8, b: u8 }"),
        &[(
            "composite_key",
            "a lone `composite_key`: mark two or more columns with it, or this one with `primary_key`",
        )],
    );
    let both = ("composite_key", "both kinds of key: a model has one `primary_key`, or two or more `composite_key`");
    assert_field_errors("#[column(composite_key)] a: u8, #[column(composite_key)] b: u8", &[both, both]);
    assert_errors(&model_errors("struct User { #[column(composite_key)] a: u8, #[column(composite_key)] b: u8 }"), &[]);
}

#[test]
fn a_misspelt_key_is_not_also_a_missing_one() {
    let wanted = [("primarykey", "unknown attribute `primarykey`, did you mean `primary_key`?")];
    assert_errors(&model_errors("struct User { #[column(primarykey)] a: u8 }"), &wanted);
}

#[test]
fn an_unknown_attribute_lists_the_valid_ones() {
    let input = parse_str("struct User { #[column(primary_key, indexd)] a: u8 }").unwrap();
    let message = read_model(&input).1.unwrap_err().to_string();
    assert_eq!(
        message,
        "unknown attribute `indexd`, did you mean `index`?\nvalid in `#[column(..)]` here: `primary_key`, \
         `composite_key`, `auto_increment`, `index`, `sort`, `unique`, `version`, `created_at`, `updated_at`, \
         `expires_at`, `rename`, `default`, `skip`"
    );
}

#[test]
fn an_unknown_attribute_is_an_error_on_its_name() {
    for (written, meant) in [
        ("indexd", Some("index")),
        ("idnex", Some("index")),
        ("indexed", Some("index")),
        ("sortable", Some("sort")),
        ("autoincrement", Some("auto_increment")),
        ("increment", Some("auto_increment")),
        ("renam", Some("rename")),
        ("uniq", Some("unique")),
        ("create_at", Some("created_at")),
        ("expires", Some("expires_at")),
        ("ignore", None),
        ("pk", None),
    ] {
        let message = match meant {
            Some(meant) => format!("unknown attribute `{written}`, did you mean `{meant}`?"),
            None => format!("unknown attribute `{written}`"),
        };
        assert_field_errors(&format!("#[column({written})] a: u8"), &[(written, &message)]);
    }
    let input = "#[model(partitions = 3)] struct User { #[column(primary_key)] id: u8 }";
    assert_errors(&model_errors(input), &[("partitions", "unknown attribute `partitions`")]);
}

#[test]
fn a_duplicate_attribute_is_an_error_also_across_brackets() {
    assert_field_errors("#[column(index, index)] a: u8", &[("index", "duplicate attribute `index`")]);
    assert_field_errors("#[column(index)] #[column(index)] a: u8", &[("index", "duplicate attribute `index`")]);
    assert_errors(
        &model_errors(r#"#[model(name = "a", name = "b")] struct User { #[column(primary_key)] id: u8 }"#),
        &[("name", "duplicate attribute `name`")],
    );
}

#[test]
fn a_value_is_there_exactly_where_it_belongs() {
    assert_field_errors("#[column(index = true)] a: u8", &[("true", "`index` takes no value")]);
    assert_field_errors("#[column(index(a))] a: u8", &[("(a)", "`index` takes no value")]);
    assert_field_errors("#[column(rename)] a: u8", &[("rename", "`rename` needs a value: `rename = \"..\"`")]);
    assert_field_errors("#[column(rename = 3)] a: u8", &[("3", "expected a string: `rename = \"..\"`")]);
    assert_field_errors("#[column(rename(\"b\"))] a: u8", &[("(\"b\")", "the value is written `rename = \"..\"`")]);
    assert_field_errors("#[column(default(3))] a: u8", &[("(3)", "the value is written `default = ..`")]);
    assert_field_errors("#[column(default = )] a: u8", &[("=", "expected a value after `default =`")]);
    assert_field_errors("#[column(index sort)] a: u8", &[("sort", "expected `,`")]);
    assert_field_errors("#[column(3, index)] a: u8", &[("3", "expected the name of an attribute")]);
    assert_field_errors("#[column] a: u8", &[("column", "expected `#[column(..)]`")]);
    assert_field_errors("#[column = \"x\"] a: u8", &[("column = \"x\"", "expected `#[column(..)]`")]);
    let model =
        |attrs: &str| model_errors(&format!("#[model({attrs})] struct User {{ #[column(primary_key)] id: u8 }}"));
    assert_errors(&model("name"), &[("name", "`name` needs a value: `name = \"..\"`")]);
    assert_errors(&model("crate"), &[("crate", "`crate` needs a value: `crate = path`")]);
    assert_errors(&model("crate = 3"), &[("3", "expected a path: `crate = path::to::subconscious`")]);
    assert_errors(&model("crate = \"a b\""), &[("\"a b\"", "expected a path: `crate = path::to::subconscious`")]);
    assert_errors(&model("crate = crate::a"), &[]);
    assert_errors(&model("crate = \"::a::b\""), &[]);
}

#[test]
fn attributes_in_the_wrong_place_are_not_ignored() {
    assert_field_errors(
        "#[model(name = \"a\")] a: u8",
        &[(
            "#[model(name = \"a\")]",
            "`#[model(..)]` has no meaning here: it belongs on the struct, a field has `#[column(..)]`",
        )],
    );
    assert_errors(
        &model_errors("#[column(index)] struct User { #[column(primary_key)] id: u8 }"),
        &[(
            "#[column(index)]",
            "`#[column(..)]` has no meaning here: it belongs on a field, the model has `#[model(..)]`",
        )],
    );
}

#[test]
fn a_model_is_a_struct_with_named_fields_and_no_generics() {
    assert_errors(&model_errors("struct User(u8);"), &[("(u8)", "a model needs named fields: `struct User { .. }`")]);
    assert_errors(&model_errors("struct User;"), &[("User", "a model needs named fields: `struct User { .. }`")]);
    assert_errors(
        &model_errors("enum User { A }"),
        &[("enum", "a model is a struct; an enum as the type of a column derives `ColumnEnum`")],
    );
    assert_errors(&model_errors("union User { a: u8 }"), &[("union", "a model is a struct")]);
    let generic = "a model cannot be generic; write a type in place of the parameter";
    let borrowed = "a model borrows nothing; it owns its data: `String` for `&str`, `Vec<u8>` for `&[u8]`";
    for (generics, message) in
        [("<T>", generic), ("<'a>", borrowed), ("<'a, T>", borrowed), ("<const N: usize>", generic)]
    {
        let input = format!("struct User{generics} {{ #[column(primary_key)] id: u8 }}");
        assert_errors(&model_errors(&input), &[(generics, message)]);
    }
}

#[test]
fn stored_names_are_distinct_and_fit_into_keys() {
    assert_field_errors(
        "a: u8, #[column(rename = \"a\")] b: u8",
        &[("\"a\"", "two columns are stored as `a`, the other is the field `a`")],
    );
    assert_field_errors(
        "r#type: u8, #[column(rename = \"type\")] b: u8",
        &[("\"type\"", "two columns are stored as `type`, the other is the field `r#type`")],
    );
    assert_field_errors("#[column(skip)] a: u8, #[column(rename = \"a\")] b: u8", &[]);
    for (name, why) in [
        ("", "be empty"),
        ("#a", "start with `#`, which marks the row number"),
        ("a:b", "contain `:`, which separates the parts of a key"),
    ] {
        let message = format!("the stored name of a column cannot {why}");
        assert_field_errors(&format!("#[column(rename = \"{name}\")] a: u8"), &[(&format!("\"{name}\""), &message)]);
    }
    for (name, why) in [
        ("", "be empty"),
        ("a{b", "contain '{'"),
        ("}", "contain '}'"),
        ("a:b", "contain ':'"),
        (r"a\n", r"contain '\n'"),
        (r"\0", r"contain '\0'"),
    ] {
        let input = format!("#[model(name = \"{name}\")] struct User {{ #[column(primary_key)] id: u8 }}");
        let message = format!("the name of a model cannot {why}");
        assert_errors(&model_errors(&input), &[(&format!("\"{name}\""), &message)]);
    }
}

#[test]
fn attributes_that_exclude_each_other() {
    let specials = ["auto_increment", "unique", "version", "created_at", "updated_at", "expires_at"];
    for other in specials.into_iter().chain(["index", "sort", "rename"]) {
        let message = format!("`skip` leaves the field out of the record, so that `{other}` has no meaning");
        let written = if other == "rename" { "rename = \"b\"" } else { other };
        assert_field_errors(&format!("#[column(skip, {written})] a: u8"), &[(other, &message)]);
    }
    assert_field_errors("#[column(skip, default = 3)] a: u8, #[column(skip, default)] b: u8", &[]);
    assert_errors(
        &model_errors("struct User { #[column(primary_key, skip)] id: u8 }"),
        &[("skip", "a key is stored: `primary_key` excludes `skip`")],
    );
    assert_errors(
        &model_errors("struct User { #[column(primary_key, default = 3)] id: u8 }"),
        &[("default", "`primary_key` excludes `default`: no stored record lacks its key")],
    );
    assert_errors(
        &model_errors(
            "struct User { #[column(composite_key, auto_increment)] a: u16, #[column(composite_key)] b: u8 }",
        ),
        &[("auto_increment", "`composite_key` excludes `auto_increment`: only a whole key can be assigned")],
    );
    assert_errors(&model_errors("struct User { #[column(primary_key, auto_increment)] id: u64 }"), &[]);
    for key in ["primary_key", "composite_key"] {
        for other in ["unique", "version", "created_at", "updated_at", "expires_at"] {
            let message = match other {
                "unique" => format!("`{key}` excludes `unique`: a key is unique"),
                _ => format!("`{key}` excludes `{other}`: a key is given by the program and never changes"),
            };
            let second = if key == "composite_key" { "#[column(composite_key)] b: u8" } else { "" };
            let input = format!("struct User {{ #[column({key}, {other})] a: u64, {second} }}");
            assert_errors(&model_errors(&input), &[(other, &message)]);
        }
    }
    for (at, first) in specials.iter().enumerate() {
        for second in &specials[at + 1..] {
            let message = format!("`{first}` and `{second}` exclude each other");
            assert_field_errors(&format!("#[column({second}, {first})] a: u64"), &[(second, &message)]);
        }
    }
    for column in ["version", "expires_at"] {
        let message = format!("`{column}` excludes `default`");
        assert_field_errors(&format!("#[column({column}, default = 3)] a: u64"), &[("default", &message)]);
    }
    let fields = "#[column(created_at, default, index, sort)] a: u64, #[column(updated_at, default)] b: u64, #[column(unique, index, default)] c: u8";
    assert_field_errors(fields, &[]);
}

#[test]
fn a_model_has_one_version_and_one_time_of_each_kind() {
    for column in ["version", "created_at", "updated_at", "expires_at"] {
        let fields = format!("#[column({column})] a: u64, #[column({column})] b: u64");
        assert_field_errors(&fields, &[(column, &format!("a second `{column}`: a model has one"))]);
    }
    assert_field_errors("#[column(unique)] a: u64, #[column(unique)] b: u64", &[]);
}

#[test]
fn durations_of_a_ttl() {
    use crate::duration::milliseconds;
    for (text, wanted) in [
        ("1ms", 1),
        ("90s", 90_000),
        ("1h30m", 5_400_000),
        (" 1d 12h ", 129_600_000),
        ("2w", 1_209_600_000),
        ("521428w", 315_359_654_400_000),
        ("3650000d", 315_360_000_000_000),
        ("1s 1s", 2000),
    ] {
        assert_eq!(milliseconds(text), Ok(wanted), "{text}");
    }
    let malformed = "expected a duration such as \"90s\" or \"1h 30m\", of whole numbers with the units `w`, `d`, `h`, `m`, `s`, `ms`";
    for text in ["", " ", "1", "h", "1.5h", "-1h", "1 h", "1y", "1H", "1hour", "1h,1m", "1h 30", "1h30mx", "１h", "1µs"]
    {
        assert_eq!(milliseconds(text), Err(malformed.to_owned()), "{text}");
    }
    for text in ["0s", "0h 0m", "00ms"] {
        assert_eq!(milliseconds(text), Err("a record cannot live for no time".to_owned()), "{text}");
    }
    for text in ["3650001d", "99999999999999999999ms", "9999999999999999w", "18446744073709551615ms 1ms"] {
        assert_eq!(milliseconds(text), Err("a record can live for at most 10,000 years".to_owned()), "{text}");
    }
}

#[test]
fn the_ttl_of_a_model() {
    let model =
        |attrs: &str| model_errors(&format!("#[model({attrs})] struct User {{ #[column(primary_key)] id: u8 }}"));
    assert_errors(&model("ttl = \"1h\", renew"), &[]);
    assert_errors(&model("renew"), &[("renew", "`renew` has no meaning without `ttl`")]);
    assert_errors(&model("ttl"), &[("ttl", "`ttl` needs a value: `ttl = \"1h 30m\"`")]);
    assert_errors(&model("ttl = 3600"), &[("3600", "expected a string: `ttl = \"..\"`")]);
    assert_errors(&model("ttl = \"0s\""), &[("\"0s\"", "a record cannot live for no time")]);
    assert_errors(&model("ttl = \"1h\", renew = true"), &[("true", "`renew` takes no value")]);
    assert_errors(
        &model_errors(
            "#[model(ttl = \"1h\")] struct User { #[column(primary_key)] id: u8, #[column(expires_at)] until: u64 }",
        ),
        &[("ttl", "`ttl` excludes `expires_at`: the column `until` says how long a record lives")],
    );
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let found = model_errors(
        r#"
        #[model(nmae = "x", name = "a{b")]
        struct User<T> {
            #[column(primary_key, default)] id: u64,
            #[column(indexd, sort = 3, rename)] name: String,
            #[column(index sort, index, default = )] age: u8,
            #[column(skip, index)] c: Vec<u8>,
            #[column(rename = "age")] d: u8,
            #[column(composite_key)] e: T,
        }"#,
    );
    let tokens = found.iter().map(|(token, _)| &**token).collect::<Vec<_>>();
    assert_eq!(
        tokens,
        [
            "nmae",
            "indexd",
            "3",
            "rename",
            "sort",
            "=",
            "index",
            "<T>",
            "\"a{b\"",
            "composite_key",
            "default",
            "index",
            "\"age\""
        ]
    );
}

#[test]
fn every_mistake_is_in_the_output() {
    let input = parse_str("struct User { #[column(a, b)] id: u8 }").unwrap();
    let text = pretty(model(&input));
    assert_eq!(text.matches("compile_error!").count(), 3, "{text}");
    assert!(text.contains("__private::RedisModel for User"), "{text}");
    let input = parse_str("struct User<T> { id: T }").unwrap();
    assert!(!pretty(model(&input)).contains("impl"));
}

#[test]
fn mistakes_of_an_enum() {
    assert_errors(&enum_errors("enum E {}"), &[("E", "an enum without variants has no value to store")]);
    let fields = "a variant of a column's enum has no fields: only its name is stored; one with `#[column(other)]` may hold other texts";
    assert_errors(
        &enum_errors("enum E { A(u8), B { a: u8 }, C() }"),
        &[("(u8)", fields), ("{ a: u8 }", fields), ("()", fields)],
    );
    assert_errors(&enum_errors("struct E;"), &[("struct", "`ColumnEnum` is for enums, this is a struct")]);
    assert_errors(&enum_errors("union E { a: u8 }"), &[("union", "`ColumnEnum` is for enums, this is a union")]);
    let generic = "an enum of a column cannot be generic; write a type in place of the parameter";
    assert_errors(&enum_errors("enum E<T> { A }"), &[("<T>", generic)]);
    assert_errors(
        &enum_errors("enum E { A, #[column(rename = \"A\")] B }"),
        &[("\"A\"", "two variants are stored as `A`, the other is `A`")],
    );
    assert_errors(
        &enum_errors("#[column(rename_all = \"lowercase\")] enum E { Ab, AB }"),
        &[("AB", "two variants are stored as `ab`, the other is `Ab`")],
    );
    assert_errors(
        &enum_errors("#[column(rename = \"a\")] enum E { #[column(renam = \"b\", rename)] A }"),
        &[
            ("rename", "unknown attribute `rename`, did you mean `rename_all`?"),
            ("renam", "unknown attribute `renam`, did you mean `rename`?"),
            ("rename", "`rename` needs a value: `rename = \"..\"`"),
        ],
    );
    let other = |ident: &str| {
        format!("the variant with `other` holds the stored text, `{ident}(String)`, or nothing, `{ident}`")
    };
    assert_errors(
        &enum_errors("enum E { A, #[column(other)] B(String, u8), #[column(other, rename = \"c\")] C { c: String } }"),
        &[
            ("(String, u8)", &other("B")),
            ("other", "a second `other`: one variant stands for all values that are no other's"),
            ("rename", "`other` excludes `rename`: the variant stands for other values and has no name of its own"),
            ("{ c: String }", &other("C")),
        ],
    );
    assert_errors(
        &enum_errors("enum E { #[column(other)] A(String) }"),
        &[("other", "an enum of nothing but `other` knows no value: use a `String`")],
    );
    assert_errors(&enum_errors("enum E { A, #[column(other = 1)] B }"), &[("1", "`other` takes no value")]);
    // The variant has no stored name, so another variant may have its name.
    assert_errors(&enum_errors("enum E { A, #[column(rename = \"B\")] C, #[column(other)] B }"), &[]);
    let input = parse_str("#[column(rename_all = \"lower\")] enum E { A }").unwrap();
    assert_eq!(
        read_enumeration(&input).1.unwrap_err().to_string(),
        "unknown case \"lower\"\nvalid are: \"lowercase\", \"UPPERCASE\", \"PascalCase\", \"camelCase\", \"snake_case\", \
         \"SCREAMING_SNAKE_CASE\", \"kebab-case\", \"SCREAMING-KEBAB-CASE\""
    );
}

#[test]
fn every_case_of_rename_all() {
    let names = |variant| CASES.map(|case| case.apply(variant));
    assert_eq!(
        names("VeryTasty"),
        ["verytasty", "VERYTASTY", "VeryTasty", "veryTasty", "very_tasty", "VERY_TASTY", "very-tasty", "VERY-TASTY"]
    );
    assert_eq!(names("A"), ["a", "A", "A", "a", "a", "A", "a", "A"]);
    assert_eq!(names("ÄhnlichÖde")[4], "ähnlich_öde");
}

#[test]
#[cfg(debug_assertions)]
#[should_panic = "never reported"]
fn forgotten_errors_panic() {
    drop(Errors::default());
}
