//! fp

/// Appends the rows of the chapter `fp` and goes on to the next chapter.
#[doc(hidden)]
#[macro_export]
macro_rules! rows_fp {
    ($cb:ident $extra:tt $($acc:tt)*) => { $crate::rows_dfp! { $cb $extra $($acc)*
    } };
}
