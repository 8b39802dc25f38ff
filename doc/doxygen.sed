# Makes the headers' plain C comments Doxygen's: the file's first, those before a declaration, those behind a member on its line.
/^ *[*]\|[/][*]/s,[@\\<>#&%]\|::,\\&,g
s,^\\#,#,
1s,^/[*] ,/** @file\n * ,
s,^\( *\)/[*] --* *\(.*[^- ]\) *-*$,\1/** \2.,
s,^\( *\)/[*] ,\1/** ,
s,\([;\,]\) */[*] ,\1 /**< ,
s,^\( *[A-Z_0-9]* *=* *[-0-9A-Zx()\\<u ]*[^ ]\) */[*] ,\1 /**< ,
