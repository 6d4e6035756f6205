"""What has been presented where a credential is wanted, and opens nothing: headers, cookies, queries and tokens."""

import json
from base64 import b64encode, urlsafe_b64encode


def basic(pair: bytes) -> bytes:
    return b"Basic " + b64encode(pair)


def segment(value: object) -> bytes:
    """Write JSON, or bytes as they are, as a part of a token (RFC 7515)."""
    written = value if isinstance(value, bytes) else json.dumps(value).encode()
    return urlsafe_b64encode(written).rstrip(b"=")


AUTHORIZATIONS: dict[str, bytes] = {
    "nothing": b"",
    "a scheme alone": b"Basic",
    "a scheme and a space": b"Basic ",
    "a wrong password": basic(b"root:wrong"),
    "an unknown name": basic(b"nobody:wrong"),
    "no colon": basic(b"root"),
    "colons alone": basic(b":::"),
    "no name": basic(b":correct-horse-battery"),
    "no password": basic(b"root:"),
    "a name with controls": basic(b"ro\x00ot:wrong"),
    "a password with controls": basic(b"root:\x00\r\n\x7f\x1b[31m"),
    "a line end in the name": basic(b"root\r\nX-A: b:wrong"),
    "Latin-1": basic("jö:wörd".encode("latin-1")),
    "overlong UTF-8": basic(b"ro\xc1\xafot:wrong"),
    "surrogates": basic(b"\xed\xa0\x80:\xed\xb0\x80"),
    "a byte order mark": basic(b"\xef\xbb\xbfroot:wrong"),
    "a password of 72 bytes": basic(b"root:" + b"x" * 72),
    "a password of 73 bytes": basic(b"root:" + b"x" * 73),
    "a password of 4096 bytes": basic(b"root:" + b"x" * 4096),
    "a password of 40,000 bytes": basic(b"root:" + b"x" * 40_000),
    "a password of combining marks": basic(b"root:a" + "\u0323\u0301".encode() * 2000),
    "a password to normalise": basic(b"root:" + "ﷺ".encode() * 24),
    "a name of 40,000 bytes": basic(b"x" * 40_000 + b":wrong"),
    "a name to normalise": basic("ﷺ".encode() * 5000 + b":wrong"),
    "a name of many marks": basic(b"a" + "\u0301\u0323".encode() * 5000 + b":wrong"),
    "junk in the base64": b"Basic cm9v!!!dDp3cm9uZw==",
    "spaces in the base64": b"Basic cm9v dDp3cm9uZw==",
    "base64 without its end": b"Basic cm9vdDp3cm9uZw",
    "too much padding": b"Basic cm9vdDp3cm9uZw====",
    "padding in the middle": b"Basic cm9v==dDp3cm9uZw==",
    "bits after the end": b"Basic cm9vdDp3cm9uZx==",
    "base64url": b"Basic _-_-_-_-",
    "obs-text": b"Basic \xff\xfe\xe9",
    "two credentials": basic(b"root:wrong") + b", " + basic(b"joe:wrong"),
    "a tab for a space": b"Basic\tcm9vdDp3cm9uZw==",
    "many spaces": b"Basic" + b" " * 5000 + b"cm9vdDp3cm9uZw==",
    "another case": b"bAsIc cm9vdDp3cm9uZw==",
    "Bearer of nothing": b"Bearer ",
    "Bearer of one character": b"Bearer x",
    "Bearer of the wrong characters": b'Bearer a b\xe9{}"',
    "Bearer of 72 characters": b"Bearer " + b"x" * 72,
    "Bearer of 60,000 characters": b"Bearer " + b"x" * 60_000,
    "Bearer of dots": b"Bearer " + b"." * 5000,
    "Token of nothing": b"Token ",
    "Token of quotes": b'Token token="x"',
    "Digest": b'Digest username="root", realm="Doorman", nonce="", uri="/", response=""',
    "Negotiate": b"Negotiate TlRMTVNTUAABAAAA",
    "AWS": b"AWS4-HMAC-SHA256 Credential=a/20130524/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0",
    "a scheme that is none": b"\x01\x02 x",
}

_CLAIMS = {"iss": "doorman", "sub": "0" * 24, "id": "0" * 24, "user_group": "admin", "iat": 0, "exp": 2**40, "jti": "x"}
_PAYLOAD = segment(_CLAIMS)
_SIGNATURE = segment(bytes(64))


def _headed(**header: object) -> bytes:
    return b".".join((segment({"typ": "JWT", "kid": "x", "alg": "ES256"} | header), _PAYLOAD, _SIGNATURE))


# Tokens (RFC 7519) that other libraries have taken for good, or have fallen over.
TOKENS: dict[str, bytes] = {
    "none": _headed(alg="none"),
    "none, in another case": _headed(alg="nOnE"),
    "none, without a signature": segment({"alg": "none"}) + b"." + _PAYLOAD + b".",
    "a symmetric algorithm": _headed(alg="HS256"),
    "RSA": _headed(alg="RS256"),
    "an algorithm that is a list": _headed(alg=["ES256"]),
    "an algorithm that is null": _headed(alg=None),
    "no algorithm": segment({"kid": "x"}) + b"." + _PAYLOAD + b"." + _SIGNATURE,
    "a key of its own": _headed(jwk={"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}),
    "keys elsewhere": _headed(jku="http://127.0.0.1:1/keys"),
    "a certificate elsewhere": _headed(x5u="http://169.254.169.254/"),
    "a certificate of its own": _headed(x5c=["MIIB"]),
    "a key id that is a path": _headed(kid="../../../../dev/null"),
    "a key id that is a statement": _headed(kid="x' UNION SELECT 'key"),
    "a key id of a NUL": _headed(kid="x\0"),
    "a key id that is an object": _headed(kid={"$ne": 1}),
    "a long key id": _headed(kid="x" * 20_000),
    "a lone surrogate": b".".join((segment(b'{"alg":"ES256","kid":"\\ud800"}'), _PAYLOAD, _SIGNATURE)),
    "critical extensions": _headed(crit=["exp"], exp=1),
    "a payload that is not encoded": _headed(crit=["b64"], b64=False),
    "compressed": _headed(zip="DEF"),
    "a token in the token": _headed(cty="JWT"),
    "an empty signature": segment({"alg": "ES256", "kid": "x"}) + b"." + _PAYLOAD + b".",
    "a signature of zeros": _headed(),
    "a short signature": _headed()[:-20],
    "a name twice": b".".join((segment(b'{"alg":"ES256","alg":"none","kid":"x"}'), _PAYLOAD, _SIGNATURE)),
    "deep claims": b".".join((segment({"alg": "ES256", "kid": "x"}), segment(b"[" * 20_000), _SIGNATURE)),
    "a deep header": b".".join((segment(b'{"a":' * 9000 + b"1" + b"}" * 9000), _PAYLOAD, _SIGNATURE)),
    "a long number": b".".join((segment(b'{"alg":"ES256","kid":' + b"9" * 9000 + b"}"), _PAYLOAD, _SIGNATURE)),
    "NaN": b".".join((segment(b'{"alg":"ES256","kid":NaN}'), _PAYLOAD, _SIGNATURE)),
    "no object": b".".join((segment(b"[]"), segment(b"null"), _SIGNATURE)),
    "no JSON": b"x.y.z",
    "no UTF-8": b".".join((segment(b"\xff\xfe{}"), segment(b"\xff"), _SIGNATURE)),
    "four parts": _headed() + b".x",
    "five parts, encrypted": segment({"alg": "dir", "enc": "A128GCM"}) + b"..AA.AA.AA",
    "five parts of a costly password": segment({"alg": "PBES2-HS256+A128KW", "enc": "A128GCM", "p2c": 2**31})
    + b".AA.AA.AA.AA",
    "the JSON form": b'{"payload":"' + _PAYLOAD + b'","signatures":[]}',
    "padding": segment({"alg": "ES256", "kid": "x"}) + b"==." + _PAYLOAD + b"=." + _SIGNATURE,
    "a huge one": b".".join((segment({"alg": "ES256", "kid": "x"}), segment({"x": "y" * 30_000}), _SIGNATURE)),
}

COOKIES: dict[str, bytes] = {
    "a session": b"session=0123456789abcde",
    "many sessions": b"; ".join(b"session=%015d" % n for n in range(60)),
    "two sessions": b"session=0123456789abcde; session=abcde0123456789",
    "a quoted session": b'session="0123456789abcde"',
    "octal escapes": b'session="\\060\\061\\400\\999"',
    "an open quote": b'session="0123456789abcde',
    "quotes and backslashes": b'session="' + b"\\" * 20_000 + b'"',
    "no value": b"session",
    "no name": b"=0123456789abcde",
    "nothing": b"",
    "semicolons": b";" * 20_000,
    "equals signs": b"=" * 20_000,
    "many cookies": b"; ".join(b"c%d=1" % n for n in range(4000)),
    "obs-text": b"session=\xe9\xff",
    "JSON": b'session={"a":[1,2]}; a="b',
    "old attributes": b"$Version=1; session=0123456789abcde; $Path=/",
    "a prefix": b"__Host-session=0123456789abcde; __Secure-a=b",
    "a name to misread": b"sess\xc4\xb1on=0123456789abcde",
    "the console's": b"doorman_console=x; doorman-console=" + b"y" * 43,
}

QUERIES: dict[str, bytes] = {
    "nothing": b"",
    "a user key": b"user_key=" + b"0" * 40,
    "two user keys": b"user_key=" + b"0" * 40 + b"&user_key=" + b"1" * 40,
    "a session": b"s=0123456789abcde",
    "an empty session": b"s=",
    "OAuth users": b"oauth=1",
    "a kind that is none": b"oauth=2",
    "a kind in other digits": b"oauth=\xd9\xa1",
    "a kind twice": b"oauth=0&oauth=1",
    "a kind with a plus": b"oauth=%2B1",
    "a page": b"limit=1&after=joe&prefix=j&user_group=noob",
    "a page of none": b"limit=0",
    "a page of 10^400": b"limit=1" + b"0" * 400,
    "after no UTF-8": b"after=%FF&prefix=%ED%A0%80",
    "after a NUL": b"after=%00",
    "after what grows": b"after=" + b"%EF%B7%BA" * 500,
    "a prefix of many marks": b"prefix=a" + b"%CC%81%CC%A3" * 2000,
    "groups": b"group=admin,noob,",
    "a query": b'query={"id":{"_eq":"x"}}',
    "a query of the wrong type": b'query={"id":{"_in":[null,1,{},[]]}}',
    "a query of many": b'query={"username":{"_in":[' + b",".join(b'"%d"' % n for n in range(501)) + b"]}}",
    "a deep query": b"query=" + b"[" * 30_000,
    "an operator": b'query={"id":{"$ne":1}}',
    "brackets": b"oauth[$ne]=1&a[]=1&a[b][c]=2",
    "half percents": b"%&=%4&%zz=1",
    "raw bytes": b"\xff\xfe=\x80",
    "semicolons": b"a=1;b=2;oauth=1",
    "many parameters": b"&".join(b"a%d=1" % n for n in range(6000)),
    "many separators": b"&" * 40_000,
    "a long one": b"a=" + b"x" * 50_000,
    "a question": b"?oauth=1?",
    "a plus": b"after=+&prefix=+",
    "a state": b"state=x&code=y&iss=http://127.0.0.1:1/",
    "an error": b"state=x&error=access_denied%0d%0aX:%20y",
}
