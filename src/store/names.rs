//! Names of the store's files.

/// What a file of a segment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The records.
    Data,
    /// One entry a record.
    Index,
    /// Lookup by URL; may be missing.
    Table,
}

impl Part {
    const ALL: [Self; 3] = [Self::Data, Self::Index, Self::Table];

    fn suffix(self) -> &'static str {
        match self {
            Self::Data => ".warc.zst",
            Self::Index => ".idx",
            Self::Table => ".fps",
        }
    }

    /// File name of this part of `segment`: `segment-00001.warc.zst`.
    pub fn name(self, segment: u32) -> String {
        format!("segment-{segment:05}{}", self.suffix())
    }

    /// Segment and part that a file name stands for; `None` for files that are not the store's.
    pub fn of(name: &str) -> Option<(u32, Self)> {
        let digits = name.strip_prefix("segment-")?.split('.').next()?;
        let segment: u32 = digits.parse().ok()?;
        Self::ALL
            .into_iter()
            .find(|part| part.name(segment) == name)
            .map(|part| (segment, part))
            .filter(|_| segment > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_others_left_alone() {
        for part in Part::ALL {
            for segment in [1, 99_999, 100_000] {
                assert_eq!(Part::of(&part.name(segment)), Some((segment, part)));
            }
        }
        for other in [
            "segment-1.idx",
            "segment-00000.idx",
            "segment-00001.idx.tmp",
            "manifest",
            "segment-+0001.idx",
        ] {
            assert_eq!(Part::of(other), None, "{other}");
        }
    }
}
