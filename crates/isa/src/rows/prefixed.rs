//! prefixed

/// Appends the rows of the chapter `prefixed` and goes on to the next chapter.
#[doc(hidden)]
#[macro_export]
macro_rules! rows_prefixed {
    ($cb:ident $extra:tt $($acc:tt)*) => { $crate::rows_end! { $cb $extra $($acc)*
    } };
}
