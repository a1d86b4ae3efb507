"""The script that mitmproxy loads: ``mitmdump -s "$(davylamp addons path)/davylamp_addon.py"``.

To mitmproxy this module is the addon: its functions of a hook's name are called. See docs/addons.md
for the options and for what is stopped how.
"""

from davylamp_mitm import hooks

globals().update(hooks())
