"""The rules of Raft as pure functions and values [Ongaro and Ousterhout, extended version, 2014]; "thesis" is Ongaro's, of 2014."""
