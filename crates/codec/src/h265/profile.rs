//! Profile and level of H.265: the general part of `profile_tier_level` (ITU-T H.265 §7.3.3), which the
//! configuration record repeats bit for bit.
//!
//! Owns: their names. Does not: read the profiles of sub-layers.

use crate::Error;
use crate::fields::Fields;

/// `general_profile_idc`, the flags that split range extensions into named profiles, and `general_level_idc`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Profile {
    idc: u32,
    /// The 9 flags from `general_max_12bit_constraint_flag` to `general_lower_bit_rate_constraint_flag`.
    constraints: u32,
    level: u8,
}

const MAX_12BIT: u32 = 1 << 8;
const MAX_10BIT: u32 = 1 << 7;
const MAX_8BIT: u32 = 1 << 6;
const MAX_422CHROMA: u32 = 1 << 5;
const MAX_420CHROMA: u32 = 1 << 4;
const MAX_MONOCHROME: u32 = 1 << 3;
const INTRA: u32 = 1 << 2;
const ONE_PICTURE_ONLY: u32 = 1 << 1;

impl Profile {
    pub(super) fn read(fields: &mut Fields<'_>) -> Result<Self, Error> {
        fields.skip("general_profile_space", 3)?;
        let idc = fields.u32("general_profile_idc", 5)?;
        fields.skip("general_profile_compatibility_flag", 32)?;
        fields.skip("general_progressive_source_flag", 4)?;
        let constraints = fields.u32("general_max_12bit_constraint_flag", 9)?;
        fields.skip("general_reserved_zero_35bits", 35)?;
        Ok(Self {
            idc,
            constraints,
            level: fields.u8("general_level_idc")?,
        })
    }

    /// The name of annex A.3, F.11, G.11, H.11 or I.11.
    pub(super) fn name(self) -> Option<String> {
        let name = match self.idc {
            1 => "Main",
            2 if self.has(ONE_PICTURE_ONLY) => "Main 10 Still Picture",
            2 => "Main 10",
            3 => "Main Still Picture",
            4 => return Some(self.range_extension()),
            5 => "High Throughput",
            6 => "Multiview Main",
            7 => "Scalable Main",
            8 => "3D Main",
            9 => "Screen-Extended Main",
            10 => "Scalable Format Range Extensions",
            11 => "High Throughput Screen-Extended",
            _ => return None,
        };
        Some(name.to_owned())
    }

    /// The level of table A.8: `general_level_idc` is 30 times it.
    pub(super) fn level(self) -> Option<String> {
        match (self.level / 30, self.level % 30 / 3) {
            (0, _) => None,
            (major, 0) => Some(major.to_string()),
            (major, minor) => Some(format!("{major}.{minor}")),
        }
    }

    fn has(self, flag: u32) -> bool {
        self.constraints & flag != 0
    }

    /// The profile that the flags of table A.2 name.
    fn range_extension(self) -> String {
        let mut name = String::from(if self.has(MAX_MONOCHROME) {
            "Monochrome"
        } else if self.has(MAX_420CHROMA) {
            "Main"
        } else if self.has(MAX_422CHROMA) {
            "Main 4:2:2"
        } else {
            "Main 4:4:4"
        });
        name.push_str(if self.has(MAX_8BIT) {
            ""
        } else if self.has(MAX_10BIT) {
            " 10"
        } else if self.has(MAX_12BIT) {
            " 12"
        } else {
            " 16"
        });
        if self.has(ONE_PICTURE_ONLY) {
            name.push_str(" Still Picture");
        } else if self.has(INTRA) {
            name.push_str(" Intra");
        }
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(idc: u32, constraints: u32) -> String {
        Profile {
            idc,
            constraints,
            level: 93,
        }
        .name()
        .unwrap()
    }

    #[test]
    fn range_extensions_are_named_by_the_rows_of_table_a_2() {
        assert_eq!(name(4, 0b1_1111_1001), "Monochrome");
        assert_eq!(name(4, 0b1_0011_0001), "Main 12");
        assert_eq!(name(4, 0b1_1010_0001), "Main 4:2:2 10");
        assert_eq!(name(4, 0b1_1100_0001), "Main 4:4:4");
        assert_eq!(name(4, 0b1_1100_0110), "Main 4:4:4 Still Picture");
        assert_eq!(name(4, 0b0_0000_0100), "Main 4:4:4 16 Intra");
    }

    #[test]
    fn levels_count_thirtieths() {
        let level = |level| {
            Profile {
                idc: 1,
                constraints: 0,
                level,
            }
            .level()
        };
        assert_eq!(level(30).as_deref(), Some("1"));
        assert_eq!(level(93).as_deref(), Some("3.1"));
        assert_eq!(level(186).as_deref(), Some("6.2"));
        assert_eq!(level(0), None);
    }
}
