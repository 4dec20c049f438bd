"""How each kind of source is asked: REST, LDAP, spreadsheets; each yields records and raises unless it saw all."""
