//! Licence expressions of SPDX, as `Cargo.toml` has them.
//!
//! Owns: whether an expression can be met with licences that are allowed. Grammar: SPDX 2.3, annex D, and the older `/`
//! for OR that crates.io still carries. Does not: know any licence.

use anyhow::{Result, bail};

/// Whether `expression` can be met. `allowed` is asked for single licences, `A WITH B` counting as one. Fails on an
/// expression that does not follow the grammar.
pub(crate) fn met(expression: &str, allowed: &dyn Fn(&str) -> bool) -> Result<bool> {
    let spaced = ["(", ")", "/"]
        .iter()
        .fold(expression.to_owned(), |text, mark| {
            text.replace(mark, &format!(" {mark} "))
        });
    let tokens: Vec<&str> = spaced.split_whitespace().collect();
    let mut parser = Parser {
        rest: &tokens,
        allowed,
    };
    let met = parser.any()?;
    if let Some(stray) = parser.peek() {
        bail!("`{stray}` is out of place in `{expression}`");
    }
    Ok(met)
}

struct Parser<'a> {
    rest: &'a [&'a str],
    allowed: &'a dyn Fn(&str) -> bool,
}

impl<'a> Parser<'a> {
    /// Alternatives; binds weakest.
    fn any(&mut self) -> Result<bool> {
        let mut met = self.all()?;
        while self.eat("OR") || self.eat("/") {
            met |= self.all()?;
        }
        Ok(met)
    }

    fn all(&mut self) -> Result<bool> {
        let mut met = self.one()?;
        while self.eat("AND") {
            met &= self.one()?;
        }
        Ok(met)
    }

    fn one(&mut self) -> Result<bool> {
        if self.eat("(") {
            let met = self.any()?;
            if !self.eat(")") {
                bail!("a parenthesis is not closed");
            }
            return Ok(met);
        }
        let licence = self.name()?;
        if self.eat("WITH") {
            let exception = self.name()?;
            return Ok((self.allowed)(&format!("{licence} WITH {exception}")));
        }
        Ok((self.allowed)(licence))
    }

    fn name(&mut self) -> Result<&'a str> {
        match self.rest {
            [name, rest @ ..] if !matches!(*name, "AND" | "OR" | "WITH" | "(" | ")" | "/") => {
                self.rest = rest;
                Ok(name)
            }
            _ => bail!("a licence is missing before `{}`", self.rest.join(" ")),
        }
    }

    fn peek(&self) -> Option<&'a str> {
        self.rest.first().copied()
    }

    fn eat(&mut self, token: &str) -> bool {
        let found = self.peek() == Some(token);
        if found {
            self.rest = &self.rest[1..];
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(expression: &str) -> Result<bool> {
        let allowed = [
            "MIT",
            "ISC",
            "Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception",
        ];
        met(expression, &|licence| allowed.contains(&licence))
    }

    #[test]
    fn expressions_are_met_as_the_grammar_binds_them() {
        for (expression, expected) in [
            ("MIT", true),
            ("GPL-3.0", false),
            ("GPL-3.0 OR MIT", true),
            ("MIT/GPL-3.0", true),
            ("GPL-2.0 / GPL-3.0", false),
            ("MIT AND GPL-3.0", false),
            ("MIT AND ISC", true),
            ("GPL-3.0 AND ISC OR MIT", true),
            ("GPL-3.0 AND (ISC OR MIT)", false),
            ("MIT OR GPL-3.0 AND ISC", true),
            ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
            ("((MIT))", true),
            ("Apache-2.0 WITH LLVM-exception", true),
            ("Apache-2.0", false),
            ("ISC WITH LLVM-exception", false),
            (
                "ISC AND (Apache-2.0 OR ISC) AND MIT AND (GPL-2.0 OR ISC OR MIT-0)",
                true,
            ),
        ] {
            assert_eq!(check(expression).unwrap(), expected, "{expression}");
        }
    }

    #[test]
    fn malformed_expressions_are_errors_and_not_consent() {
        for expression in [
            "",
            "MIT OR",
            "AND MIT",
            "(MIT",
            "MIT)",
            "MIT ISC",
            "MIT WITH",
            "MIT WITH OR",
            "()",
        ] {
            assert!(check(expression).is_err(), "{expression}");
        }
    }
}
