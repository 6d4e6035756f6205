PRAGMA application_id = 1685024626;
PRAGMA user_version = 1;
BEGIN TRANSACTION;
CREATE TABLE emails (email_key TEXT NOT NULL PRIMARY KEY, user_id TEXT NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO "emails" VALUES('ann@example.org','6b008f0bc750d8ca95ffbbd7');
INSERT INTO "emails" VALUES('bob@example.org','6b008f0ba1c94e153809c383');
CREATE TABLE failures (
    key TEXT NOT NULL PRIMARY KEY,
    n INTEGER NOT NULL,
    last INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE meta (key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO "meta" VALUES('highest_cost','4');
INSERT INTO "meta" VALUES('key_id','6f747848053daf43');
CREATE TABLE records (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    user_id TEXT,
    epoch INTEGER NOT NULL,
    data TEXT NOT NULL,
    created_at INTEGER NOT NULL DEFAULT 0,
    used_at INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;
INSERT INTO "records" VALUES('session','44b917d22266610c645b40926870a82f05f057324f64bd056c1da99fc45b1494',1797790731262,'6b008f0bc750d8ca95ffbbd7',1,'{"address": "127.1.0.2", "user_agent": "python-httpx/0.28.1"}',1795198731262,1795198731262);
INSERT INTO "records" VALUES('session','d8dddfb43027fde4c2a3904634221dd08ad11e7657df662a97aee35b61300dec',1797790731619,'6b008f0ba1c94e153809c383',1,'{"address": "127.1.0.6", "user_agent": "python-httpx/0.28.1"}',1795198731619,1795198731619);
INSERT INTO "records" VALUES('signing_key','QN9NsteAl4dMsXMagZFAvg',1798395591417,'doorman',0,'{"sealed": "Hk1tqnrBfwbOd731kkbyLQW0ekkYo3XaACcvRYYS30zB+XwrcKSqbW6HcZy3rkVN4IoH45xPwgBIkaOT69T0rhUCAO9BFIaf+oobQ2oo4NYTq8fHwd8XRRSTU2WUHz9EbzjL3+lL+tOwA7lu8au/OTeW1YFTKZy59Y4dDYlQUuwCiTViAEGFA7+uMd8D6KCOf9S1fQ9XOHeszaNYToe/B2dY8LCBqXwNREcZ+8UBt3coafmUAfLSwUdpm6aJQ3aCzcMIENlkPhUJLV9m3IE9Et9vlkPCT4GRfIayIrr/m4BTqbbOQXxwi1F9OUt/Og6IpOULYPc6lrD6jY5FKoUAY18WUTuRSdIFRE/AFcw=", "sealed_under": "6f747848053daf43"}',1795198731417,1795198731417);
INSERT INTO "records" VALUES('token','0cc588943055597d21678d713e8645a57b85f620202bc6d8a1332ff7a2feb0b3',1795803531809,'6b008f0ba1c94e153809c383',1,'{"address": "127.1.0.8", "user_agent": "python-httpx/0.28.1"}',1795198731809,1795198731809);
INSERT INTO "records" VALUES('token','c2886c4fa5661e1cab7306a25fc98b8f7ec391b2fad3e72e9c5299469c0c9de7',1795803531423,'6b008f0bc750d8ca95ffbbd7',1,'{"address": "127.1.0.4", "user_agent": "python-httpx/0.28.1"}',1795198731423,1795198731423);
INSERT INTO "records" VALUES('user_key','3f6ddd7e5b054a9bd01aab7934090ee268637391dbecfabaf14a3da77bbf5aea',1797790731356,'6b008f0bc750d8ca95ffbbd7',1,'{"address": "127.1.0.3", "user_agent": "python-httpx/0.28.1"}',1795198731356,1795198731356);
INSERT INTO "records" VALUES('user_key','881e9ab9889eff86a1eef44f27ab39bf62dbea91a6cbea306c94d7a98c9363d6',1797790731715,'6b008f0ba1c94e153809c383',1,'{"address": "127.1.0.7", "user_agent": "python-httpx/0.28.1"}',1795198731715,1795198731715);
CREATE TABLE tokens (digest TEXT NOT NULL PRIMARY KEY, user_id TEXT NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO "tokens" VALUES('37e75f678820c396fc5f92651876411f1f5812fa5189212759fb9c406a6f8f8e','6b008f0a0ed642a74f717f3d');
INSERT INTO "tokens" VALUES('42e344e018a163298983cd0c95427ea8cc28ba656c21bc767fdafc8024636c2c','6b008f0bc750d8ca95ffbbd7');
INSERT INTO "tokens" VALUES('9fb3b919e5521b12e8ebdfe1c32309b987160912b2540532eede5b3b85f2df44','6b008f0ba1c94e153809c383');
CREATE TABLE users (
    id TEXT NOT NULL PRIMARY KEY,
    user_name TEXT NOT NULL,
    name_key TEXT NOT NULL,
    oauth INTEGER NOT NULL,
    password_hash TEXT,
    token_hash TEXT NOT NULL,
    token_digests TEXT NOT NULL,
    name TEXT,
    email TEXT,
    email_key TEXT,
    user_group TEXT NOT NULL,
    disabled INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
INSERT INTO "users" VALUES('6b008f0a0ed642a74f717f3d','root','root',0,'$2b$04$r265Msu45HrO0T5s.XTj9OdWiBGkXFq69heRq1ufxjy88H60qkxbC','$2b$04$8oyRm4rvBN.v8AnjwQLNPOPIcver//8JcQd9v8ZEKPcoMNTu.4GO6','["37e75f678820c396fc5f92651876411f1f5812fa5189212759fb9c406a6f8f8e"]',NULL,NULL,NULL,'admin',0,1,1,1795198730875,1795198730875);
INSERT INTO "users" VALUES('6b008f0bc750d8ca95ffbbd7','ann','ann',0,'$2b$04$EuONuQprHL60YM/GUEYX9OchOzkx9IO1fjohbqasm4MNFS5lbqlLy','$2b$04$pZFI7VDJhcRrVLVkA04FDuF4uuFbWu7djOsoop8xZUBvvgRSsrfpu','["42e344e018a163298983cd0c95427ea8cc28ba656c21bc767fdafc8024636c2c"]',NULL,'ann@example.org','ann@example.org','admin',0,1,1,1795198731134,1795198731134);
INSERT INTO "users" VALUES('6b008f0ba1c94e153809c383','bob','bob',0,'$2b$04$afr0akRhfyQbVstpwPJereLlGVucutfcbV.LXaK3fEUGiUaddW6GG','$2b$04$jPhD10n0xesHmdxUUTQmEe4u6tDyhA0v8hGd3KCv..161eeNNFosW','["9fb3b919e5521b12e8ebdfe1c32309b987160912b2540532eede5b3b85f2df44"]',NULL,'bob@example.org','bob@example.org','admin',0,1,1,1795198731524,1795198731524);
CREATE UNIQUE INDEX users_by_name ON users (name_key, oauth);
CREATE INDEX users_listed ON users (oauth, name_key, user_name);
CREATE INDEX users_listed_by_group ON users (oauth, user_group, name_key, user_name);
CREATE INDEX users_guarding ON users (id)
    WHERE user_group = 'admin' AND disabled = 0 AND password_hash IS NOT NULL AND oauth = 0;
CREATE INDEX records_of_user ON records (user_id, kind) WHERE user_id IS NOT NULL;
CREATE INDEX records_by_expiry ON records (expires_at);
CREATE INDEX failures_by_expiry ON failures (expires_at);
COMMIT;
