"""Trusted updates of signature packs: archives, their repository, and what is in force here.

`archive` and `manifest` are what travels, `client` and `repository` the two ends of it (TUF),
`store` and `state` what is installed, `install` the steps in between. docs/updates.md has the
threats and what meets each.
"""
