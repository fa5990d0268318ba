//! tm

/// Appends the rows of the chapter `tm` and goes on to the next chapter.
#[doc(hidden)]
#[macro_export]
macro_rules! rows_tm {
    ($cb:ident $extra:tt $($acc:tt)*) => { $crate::rows_prefixed! { $cb $extra $($acc)*
    } };
}
