//! mma

/// Appends the rows of the chapter `mma` and goes on to the next chapter.
#[doc(hidden)]
#[macro_export]
macro_rules! rows_mma {
    ($cb:ident $extra:tt $($acc:tt)*) => { $crate::rows_tm! { $cb $extra $($acc)*
    } };
}
