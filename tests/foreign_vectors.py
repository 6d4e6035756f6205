"""Hashes of one password as other systems wrote them, each made by the program that it is named for."""

PASSWORD = "correct horse b\u00e4ttery"

HASHES = {
    "Django pbkdf2_sha256": "pbkdf2_sha256$1000$seasalt0seasalt0seasa1$zOR8suZwdycfksA2JJArYFCz/3uXkRD4Ljf0dAltRP8=",
    "Django pbkdf2_sha1": "pbkdf2_sha1$1000$seasalt0$4VBYelHTCnMbNvobi79zpf2TO1o=",
    "Django argon2": (
        "argon2$argon2id$v=19$m=1024,t=2,p=8$c2Vhc2FsdDBzZWFzYWx0MHNlYXNhMQ$VEiObuTx4CTcw5I1n6WHfzllJklbqWMQWzrxfsDJt8c"
    ),
    "Django bcrypt_sha256": "bcrypt_sha256$$2b$04$ysFXlImQ3mu0gQDKg1qcIuxJHniXjvHhNfO7yRnSQv0VkTFE2Izly",
    "Django bcrypt": "bcrypt$$2b$04$.QWTP7m4GJs8U2FkO3iDAuxj8BJHw9fuARfpTDsqCut.OJcMIGRta",
    "Django scrypt": (
        "scrypt$1024$seasalt0seasalt0$8$5$qWnnkGmio6HuZeufk+WzJzLLEfLuHDG7EQy7De0nKEv8vSzu3nAkqbrIw69sJ/gdxUx"
        "O/QcXB095MlLWiA/omA=="
    ),
    "argon2i": "$argon2i$v=19$m=256,t=1,p=2$VZj9d89hN04T/nWRDuCdRQ$BOcVBBb7zFxXzD50u2zEDsPngFV3IY1ggtbydUjprYk",
    "argon2d": "$argon2d$v=19$m=256,t=1,p=2$ijn4oCKOn/nhD/IUyXBDiQ$8S+uG+pL/fAswAyer7mde+r8Vu2mUiokDSBtw1UiII8",
    "argon2id": "$argon2id$v=19$m=256,t=1,p=2$kZ/wH8mO+XiegE/5TJU4fA$aWGHYxyEOh+2h7eY+x7RPhajbmYjKQalwOPc7zyDrPc",
    "argon2i of version 16": (
        "$argon2i$v=16$m=256,t=1,p=1$c2Vhc2FsdDBzZWFzYWx0MA$rzIMOFZei2ZxZ7TfPFuy3eYiP0OD454mD+Rd5PzSbHY"
    ),
    "passlib pbkdf2-sha256": "$pbkdf2-sha256$1000$4fz/v1dqDQEAgJDyHoNQqg$NW5nEajzMQJzCo5Z4obixPY.a/gw8PnPKgv/f5Ux364",
    "passlib pbkdf2-sha512": (
        "$pbkdf2-sha512$1000$SgkBAIDw3psTYgyB8P6/9w$AZ.qAcJutaRxuGFN9DquT8ddJoRbAMoYRNZlzgZNi0hbNnPGhY85VBGo5"
        "XgeEdNe0b.McEeWIM4rvAtUNVuAVg"
    ),
    "passlib pbkdf2": "$pbkdf2$1000$PceYE0JIiXHu/R.jlBJCCA$uk1llK14Y2Mo0STkJLePJTc2nlo",
    "passlib scrypt": "$scrypt$ln=10,r=8,p=1$rZXyfu+9975XSsnZ2/s/pw$/JJCmWO2Qb7piauT1C6yu2WvoRKO7pCkybxPuYJs/tQ",
    "openssl -5": "$5$seasalt0$IdfHCi2KqnlKvNC32lDPCwUjGOronQOVZIscKq2EiN0",
    "openssl -6": "$6$seasalt0$zgJ.yZNuOu38cud5.0CATmmN9AI2YFwB2xY1faaxBS7yPghtcuz/62VQWH0VeC.I5RR0bCaIy.WmtRnfHul8B/",
    "openssl -5, a salt in base64": ("$5$c2FsdCsvMTIz==$s35AXd.EX1wB.Hds4ylxtcvV6RLry6rNMWJIrwe1A50"),
    "openssl -6, a salt of other characters": (
        '$6$sea+s=lt,_(9~"$tf0Fujb8Q6oEE7DbYB80S1BefTBadr6XeALs0XGqI7GhYegZZTFBQc2Yx3OtPQ0B8vx5eilOq.uJu3YWOL5xa0'
    ),
    "openssl -apr1": "$apr1$seasalt0$wlH/4DQblvq8t/4Y7UTo41",
    "openssl -1": "$1$seasalt0$sth45c.tRUUyoVtQt4WK71",
    "sha512-crypt with rounds": (
        "$6$rounds=1234$vf2VxDVu9x2V5cEh$fqRrIxRD/YqeBmvXgqQVanalDl6dUTlkGZB82Mk0El2kiKWW7.UlclCq8kx54x5W0uET"
        "bY046wzXK.3N4eWBx0"
    ),
    "sha256-crypt with rounds": "$5$rounds=1234$.uBdqUSRf5.6g8vo$ZZsQxPIifamMIbaG/Fh6e8PFJj2pwXzyLiGVqFJdZc2",
    "htpasswd -s": "{SHA}iPIjShTT0XTeFsNrRFgeEV8NuOo=",
    "LDAP {SSHA}": "{SSHA}9ix05yPOqH7jHFsQdfNN3WR/IY0mRAjB",
    "Werkzeug scrypt": (
        "scrypt:1024:8:1$XBikOcyQwoQRaFNt$f3d19e1ebda83935d2dadf6b720b405156881257ca13039fb0ad349ebebf88eb9f0d44ada"
        "23291661e375c65c9872b694afc30fe06ae8526c981649e87749741"
    ),
    "Werkzeug pbkdf2": (
        "pbkdf2:sha256:1000$tTnT0qMq2WyHRdHt$90161dcac1d26d5e87d8a6624a2d65822bec14319c41e24c3d0a43e910f71822"
    ),
}
HTPASSWD_BCRYPT = "$2y$04$iwkSCDtcJISSy6hHGahX5ewTyk9I1NIAbb1.DuChfkdX0S8URCh3u"
# The example of Firebase's own implementation (github.com/firebase/scrypt).
FIREBASE_PASSWORD = "user1password"
FIREBASE_KEY = "jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA=="
FIREBASE_SALT, FIREBASE_SEPARATOR = "42xEC+ixf3L2lw==", "Bw=="
FIREBASE_DIGEST = "lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ=="
FIREBASE_HASH = f"$firescrypt$ln=14,r=8,p=1${FIREBASE_SALT}${FIREBASE_DIGEST}${FIREBASE_SEPARATOR}${FIREBASE_KEY}"
