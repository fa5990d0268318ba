//! vsx

/// Appends the rows of the chapter `vsx` and goes on to the next chapter.
#[doc(hidden)]
#[macro_export]
macro_rules! rows_vsx {
    ($cb:ident $extra:tt $($acc:tt)*) => { $crate::rows_mma! { $cb $extra $($acc)*
    } };
}
