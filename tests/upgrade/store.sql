PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE _sqlx_migrations (
    version BIGINT PRIMARY KEY,
    description TEXT NOT NULL,
    installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    success BOOLEAN NOT NULL,
    checksum BLOB NOT NULL,
    execution_time BIGINT NOT NULL
);
INSERT INTO _sqlx_migrations VALUES(1,'initial','2026-11-24 09:56:58',1,X'02890c18f92a3f86ad99df935c430e788e9f72c3538a0129615a1016959313a03aaa16a50b0fbc47e946e6580f3a3d2a',3235982);
INSERT INTO _sqlx_migrations VALUES(2,'upkeep','2026-11-24 09:56:58',1,X'600fb61d14e0c8ada53a6eb9560822bb8d13ad125b907dd654b6f9ad9e3b3f1379ece1e2e6051c88750fdae330ada4e1',3945527);
INSERT INTO _sqlx_migrations VALUES(3,'kinds','2026-11-24 09:56:58',1,X'37b3099c06c440c44b67827c281f8e6ff7635bb6b1d6207152eb4a85db09ab47cc4bef04120b7e97cc646146c3674a7c',3830004);
CREATE TABLE grants (
    id TEXT PRIMARY KEY,
    revision INTEGER NOT NULL,
    provider TEXT NOT NULL,
    owner TEXT NOT NULL,
    owner_folded TEXT NOT NULL,
    scopes TEXT NOT NULL,
    refresh_token BLOB,
    access_token BLOB,
    access_expires_at INTEGER,
    state TEXT NOT NULL,
    last_error TEXT,
    failed_at INTEGER,
    failures INTEGER NOT NULL DEFAULT 0,
    retry_at INTEGER,
    authorized_at INTEGER NOT NULL,
    refreshed_at INTEGER,
    refresh_expires_at INTEGER,
    interrupted_at INTEGER,
    lease_holder TEXT,
    lease_taken_at INTEGER,
    lease_until INTEGER, told TEXT, telling_until INTEGER, kind TEXT NOT NULL DEFAULT 'person',
    UNIQUE (provider, owner_folded)
) STRICT;
INSERT INTO grants VALUES('Ni7TMu1pz7R3sLPD',1,'sandbox','alice@example.com','alice@example.com','https://mail.google.com/ openid https://www.googleapis.com/auth/userinfo.email',X'01000000016e190189103c664d210472a4f50fa58da674ea3b12b883fce54720ff934a9950590381122ac71eadeb7c371ecde206d7ba1ba004a62e6e7a033261935dc126ceb72ca44878d739271370259ec8c1c9ff856ecedb8af3533375c89b42431526657cb2629818ef3a1fc4e3ec4a',X'0100000001c9835b90ee18b58648ea0f93d171052438b3e00f08d632e00d4849be28d8cfb2d01694d5c73ef16b52b3ffb5c5248b2df7472f359ec1293e75bec4b85cc78e4e0299295e803f30b12e33c337029b7c3f96908c6c9bbcfce5e00e0c3977ebbe66400cfa7e2d6ca877fe17d7080db1a296c89f104a1ed25d3748b316240b99595f0f000e9fc51518120016db7c0eea37c2ad6b506d658830e5dcafcfed160510c2ca98920e7023003a86ae46b686a9d62c404e9c9d6885cb35fbbc7f603da21331aca5995202078a7277d7d4782859724b99c5adc47539c948035aeb5ecd390ff60534227e1bde9b292351d20cf4b34d94',1795517818,'ok',NULL,NULL,0,NULL,1795514219,1795514219,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'person');
INSERT INTO grants VALUES('0QkuSeOtKHcdHiWV',2,'sandbox','carol@example.com','carol@example.com','https://mail.google.com/ openid https://www.googleapis.com/auth/userinfo.email',NULL,NULL,NULL,'needs_authorization','the authorisation was revoked here; run: imap-oauth-proxy authorize {account}',1795514222,0,NULL,1795514219,1795514219,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'person');
INSERT INTO grants VALUES('a7MxjAQkYCLb2eB1',2,'sandbox','dave@example.com','dave@example.com','https://mail.google.com/ openid https://www.googleapis.com/auth/userinfo.email',X'01000000012a9a6ec2403636842ec87288a3d1ec09f8d49924ae3536fffaaf8b50de6600e3072f24eb2a9886f4117223d58325f952f6d5fd813ef5710ff9f7958a7d3cba7370286bbed2a78b8ab9bcc9532714e27e6026475df37881387e087d3fb1bae420f7316819b4d08e3419147aee',X'0100000001d85cfd298b4453a8f55fed29a97ef7686224973adb38af780463294425badf79a2f26dfb519d33a08c446173dc9eb933e8df5fb9b2578c9aebccc394d2d7abd2c6706a7b8db04059badb000c66ca3d59626f8758cdaf2cec05da693b564f884a38223f398e1fa44e7c1a5b1a6d45ddfaae506a754073904ae6b5e2a5b102dbf00809fe20e579b5180a9c01700511c76d0d3d649dc7f0bb69953f87a259bc9db61873fc63442fb243954032c4a8daf309d7cca9a61d41e20fe2ee988a23bfcadf6458f727f4ca7ffead790251d95aea6248e8118df7909ae0ae498fa941ddd81364e764ce6c2c9f7b9f968873c6b6c995',1795517818,'needs_authorization','the provider no longer accepts this grant: it expired, was revoked, or the password changed (invalid_grant, HTTP 400); run `imap-oauth-proxy authorize {account}`',1795514223,1,1795517823,1795514219,1795514219,NULL,NULL,NULL,1795514223,NULL,'needs_authorization',NULL,'person');
INSERT INTO grants VALUES('hgNeC5B5Qw2ZWZyn',2,'sandbox','erin@example.com','erin@example.com','https://mail.google.com/ openid https://www.googleapis.com/auth/userinfo.email',X'0100000001610ed4d9c022b6a5fa6ec9698395ea35746903a59ee64d9fb3fe157846b59f6f467e5a1a8a6e33f94f59f737f90795dc5f2509cee717eae0570dc07beb35d5b2162d3288446329a7b3487692834f3296ebff6fc0958a91ef6346a8962c99519b288bf886885fc713b2cc359c',X'01000000018196ee6ca90ba71cf8fe97aa5fe2ab95375e5192653ce42f055da54e3102408dbe5718ce8c0f18d2a8a4584fb761ab752bd54dce275b81475037508bc37f01da3a0b2c81cb6a08b2825e3ac497632d773c6aeb330fa03bffd06d45be2c31a64e9e52a55514a8d8baed55c53ea81cf2d97c9d43758b536ef6c95970339a8d09bea2b38628a7a3f964497fd804d6d4e0fc7c8e2abc9f2070fd35e8f0448dc0926e2bee6cf08f3c53562d7a3fa9ec6bd6678e92f3912ac3de43ab859a76675bce8cac4770dc4c508175219e3dea816286fb9b6f9450b84c8b2f33dd619c354276d266742f54fa8e021eee935119c6f11faa',1795517823,'ok',NULL,NULL,0,NULL,1795514219,1795514224,NULL,NULL,NULL,1795514224,NULL,NULL,NULL,'person');
INSERT INTO grants VALUES('GjE7lVArqzZmzOx1',1,'sandbox','frank@example.com','frank@example.com','https://mail.google.com/ openid https://www.googleapis.com/auth/userinfo.email',X'0100000001c51e869cc9b6736e348dea5e618ceb78302f633c766d2a9a045d9b6322b2e8229770ce058cdb6b964636fb767b437519eb8f20d3b1cf42b52ef8abff041d3184b932d2aeee24f43d57b6c817f6477c514759e7211aa7766fc88530a6c2b957b5f86d2ef2f3c3631cfffaab10',X'0100000001f49e5ef9c40b62faf8dcfd00bbe5ad0466529e0e94fec6b5ea832a842dc30aabbc59a156ef71994fa82baa75f19784d486b192aa1d93d7753c8686d120b39b8e05dc2633b560178b8d2c5f8d217db78168179a7ef714df5bd272a2c2bc84a4c052c1c502b78625df06a8f70f1f10fd2e99dc812a2e0d8ed0a88e5d20817adb36cd0ef2062b5b4c16d55da88b77c41870e282e4096b5cc52045d9becf0190f3b4c86d2bdee9422da3b49f5ead7b818a3a3ff43b72f7034c3ecd0e638f59d173456f68fbcc77bb3284d290779e37005435323e4bb840ec308252c44b1c546b489356e9ee6b53278d58d23caba54a66874f',1795517818,'ok',NULL,NULL,0,NULL,1795514219,1795514219,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'person');
INSERT INTO grants VALUES('8DMJ9qGz4sr7kSal',2,'sandbox','grace@example.com','grace@example.com','https://mail.google.com/ openid https://www.googleapis.com/auth/userinfo.email',NULL,NULL,NULL,'needs_authorization','it was moved to server on 2026-11-24; remove it here with accounts remove, or get it back with: imap-oauth-proxy authorize {account}',1795514222,0,NULL,1795514220,1795514220,NULL,NULL,NULL,1795514222,NULL,NULL,NULL,'person');
INSERT INTO grants VALUES('O1vu6h7-UC1brb75',2,'sandbox','heidi@example.com','heidi@example.com','https://mail.google.com/ openid https://www.googleapis.com/auth/userinfo.email',X'01000000018aff4c91cb6ff07d8aa1da19566398d6543df685c5fcadc9733287e7617d7e0b1c1e5c2bb731ca9eade8946f93dfa995246f8daf43fb3bc46468d7786ac10fdc6ea7361fd7632cfc3b57ea16fb4cee7b0fd0c7a2eadf03d615a06c5b0de9f71f3c575309fca6bf6ee4d9d8e6',X'0100000001de1a244bcfebd3430dc7361ed06fb1d3a0e56c81d023453900a3981a7364ce75aca80d4e42d2054dd54d8f78a3ec65f01fe0e8c38962a1fd15e96cec8f7189b6d90fadcb35aca7fa037707851ba2bd1d284441334b3ac12e0ace8fcd74836e8d3ab5e79ad045d525d5db12cf6413e260f451b1f38beb7da83ebc556fb06af049929b09254f47c27084739195d3c7210fa46863bd96ceff46728bfd35b8cf36b295b2a506ac082e01930b6a02b0260586d2b5e873dcd360fe6a5c7f4431d3088b7e181b331ff2f0b5d63d0abc13535f6223a681d6077d6bec3e91fe2bc3d355143bb443bf1ff5fe215251bdb0e106d708',1795517819,'misconfigured','the provider does not accept the client id or the client secret (invalid_client, HTTP 401); compare client_id and client_secret with the registration',1795514223,1,1795514523,1795514220,1795514220,NULL,NULL,NULL,1795514223,NULL,'misconfigured',NULL,'person');
INSERT INTO grants VALUES('4_tLCFrSsccrqE0j',2,'sandbox','ivan@example.com','ivan@example.com','https://mail.google.com/ openid https://www.googleapis.com/auth/userinfo.email',X'010000000145b1e226174a3e3ebcdeced135aa33353ff65979b7a9b30072242744343b8da6e139797b7dffa465937d971e7a81c711c80875572ad7325029501791510f2d72234688bdceb9333b1adb207c955498c2cae510b6887aa020c0fc0bbd42028d59dc4a7237eac0c682d75942e9',X'01000000011868008e2df6275a6f936032f77d872f62a48d3d40e8002cff133462fdb38bd6847798fa6e832eae4f05ce1f66cbac78ef8c9fed88bf6c2324a1fa0bbdef9ecc494c97ea609fe2a1f2e8fadd42fdccf701865e7cf9400abe1b4290896735897a865bf3b807352e4ba245a28190437239498373516978c15fb812f51ce42920705c408f3680157b13c1578e58cb80c75af60ba61f757dade71c63eda4263914fb9d3ce68b8f0fdff5534b91a1e111a5a53448f4ba18025a430791df5c52e445972a4c192e15f314b474b847427c583ad1736a2983e317b140bd4a0c18a48373d6a37faf268d187181099dd9152fba556b',1795517819,'retrying','the provider has trouble of its own (HTTP 500); nothing is lost; try again later',1795514223,1,1795514225,1795514220,1795514220,NULL,NULL,NULL,1795514223,NULL,NULL,NULL,'person');
INSERT INTO grants VALUES('-i_FLbkKauIVW6Zm',1,'sandbox','kevin@example.com','kevin@example.com','https://mail.google.com/ openid https://www.googleapis.com/auth/userinfo.email',X'010000000170e67aebb22c19f6e421fc3f08db3e8bb04ee9027034913119c33ff9355795a16d0fd8b7702f485c4e151ce148e8d92f3958f8da8f8f63e0ef899303e597d844009c6eef3b5b80d87d5c3b516c55b2a06d718929a0ea354359805af27ecd16b4bd8ae34d1b9f331e03315ec7',X'0100000001ef6c65855ab4dae79173aeb118f4f1fd5b15653031c8bc7ccc731228846cff3116a5667528bdf6f09e4ae9e94aed360497fed4d9fabd35c4560c17078d7745fbbde4314bfe6b2530dc33882cfd4fe7f0ecadc36935d7435c9f19f3e84e849b118951a94e9d9abb93ef94e36c0acd0fc387b709fcd3bd5e15896ec4ced14762802c21a9d2bc331636a22c493cd74913b738c2c6bfcacdee5aa4736e1c47d3b7fb48f2981de2e05e66e5fcb980f535fa4f9fbccd3be4553cfa55933451191fc6b29b598115f9d6dc45664880d5d27894a38d561956340e98b3a7b12e587426a01ca562b1b72f5bb157c7e21eb20ffb0c7c',1795517819,'ok',NULL,NULL,0,NULL,1795514220,1795514220,NULL,NULL,'Xl5mDMknhufkg3ll',1795514229,1795517829,NULL,NULL,'person');
INSERT INTO grants VALUES('3d5yBEr0c-uzWsvD',1,'application','robot@example.com','app:robot@example.com','https://mail.google.com/',X'0100000001f14c9453cb73f77a1a3b9527c953a5f3d8bea605f5001dcf43484a8d06ab738ccc1b1b90a42b8ed6e502df9f976e9962e892c0',X'01000000017375167f5d1d22460c2695f578c4948ca520e180899698956b3e73885b6ec901b51e0558430f1c26232529addf4ad15b46f3b3f227892aea822d2163eef073619de9070239910837cad794ab26bbb691bd90a10468fab84620c066b3d13cb891e608451a76ac3624927e4bd8733a93669ac2a701e5c361d2ca0b94370f88c4268ca025c6fb6e3255ddaabe123b57269f2d772066c2b51e2a9683a0a260ee7fdfdd115e4a1e11ed4cab0d3001b12be6f0942f3d3afc77c4d010f7a686dd63f55ddaf6058c81754eeb2800dcb0859ed3a4067f255312786eec4d623a7a5a8275a847a4f17f9f5a3d11c928e348a595f0ae',1795517820,'ok',NULL,NULL,0,NULL,1795514221,1795514221,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'app');
INSERT INTO grants VALUES('XabrFyM90D_JJ0sX',1,'application','@corp.example','app:@corp.example','https://mail.google.com/',X'010000000157e1b28eabcf86a43e6ffc9dc198b03f858ff9ad956238e75de65861356eb9b0211b2c489c0e433415cc5b7c065b48a3ebad0f',X'0100000001fdf5e353fb9a6d4033c9befbc9937f29468b9ba485db430b829ec8784ec3afbb67d22578591797a55b8b3ae26e4b57b891e52740add0b9ab2b16d4dc940c771fc5887fbf57939fa796a8df7a31e65231c4206780152bd16489fde79f959c3cbed95fdbca25b0774c58b90283e7fe8abf121441c101516595f40e14a680a8b210cf45729c0872eed0459dcf6c35ff2b1b03eeffc79bb6ece3148c9dc8b559a36064dc207f94ed593da73f265c093ef609a43e9b0c5cefaf8e757bec84243ee0820785eb8160dcdb43540e2c952b6a7889af5846bf7d09197cf892ad1e37f9b53c6fbd3887aedd22f7008ac26288f63424',1795517820,'ok',NULL,NULL,0,NULL,1795514221,1795514221,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'app');
INSERT INTO grants VALUES('U6MNVqs1izZPLkvU',1,'service','@service.example','app:@service.example','https://mail.google.com/',X'0100000001aa169a0bc34d71b48f604e74592c2f20d9edeb6ba14159d96973bc3b48021c3eed18319d322177d01d0bf05048496264da37ab',NULL,NULL,'ok',NULL,NULL,0,NULL,1795514221,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'app');
INSERT INTO grants VALUES('Mc0-cxQl1B6dqOk1',2,'application','@gone.example','app:@gone.example','https://mail.google.com/',NULL,NULL,NULL,'needs_authorization','the authorisation was revoked here; run: imap-oauth-proxy authorize {account}',1795514222,0,NULL,1795514222,1795514222,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'app');
CREATE TABLE accounts (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    grant_id TEXT REFERENCES grants (id) ON DELETE SET NULL,
    last_login_at INTEGER,
    last_login_from TEXT,
    -- What the provider's mail server has against it: all four, or none.
    trouble TEXT,
    trouble_count INTEGER,
    trouble_at INTEGER,
    trouble_retry_at INTEGER
) STRICT;
INSERT INTO accounts VALUES('Q-BM6hg1ab-XOx6E','alice@example.com','Ni7TMu1pz7R3sLPD',1795514224,'127.0.0.1',NULL,NULL,NULL,NULL);
INSERT INTO accounts VALUES('YUB57xCg5VCgme4W','carol@example.com','0QkuSeOtKHcdHiWV',NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO accounts VALUES('OkCdVWo9vwAhcorO','dave@example.com','a7MxjAQkYCLb2eB1',NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO accounts VALUES('wZrpycOcuk3f4mHg','erin@example.com','hgNeC5B5Qw2ZWZyn',1795514224,'127.0.0.1','"[AUTHENTICATIONFAILED] Invalid credentials (Failure)" (challenge: 400, scope https://mail.google.com/); The mail provider did not accept the stored authorisation; authorise the account again, and check that the mailbox is the one that was authorised',1,1795514224,1795514284);
INSERT INTO accounts VALUES('tIDzYRgnaoIlrJXd','frank@example.com','GjE7lVArqzZmzOx1',1795514225,'127.0.0.1','The mail provider accepted the authorisation but does not open the mailbox; check the mailbox name and the access to it, that IMAP is enabled for it, and that not too many sessions are open',0,1795514225,1795514225);
INSERT INTO accounts VALUES('pM-4I1usT_PPYadX','grace@example.com','8DMJ9qGz4sr7kSal',NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO accounts VALUES('z6R-cbJTIzWnhEDO','heidi@example.com','O1vu6h7-UC1brb75',NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO accounts VALUES('-bWv3wftuGYJnW-I','ivan@example.com','4_tLCFrSsccrqE0j',NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO accounts VALUES('cDrwDcah5FwlZTI7','kevin@example.com','-i_FLbkKauIVW6Zm',1795514229,'127.0.0.1',NULL,NULL,NULL,NULL);
INSERT INTO accounts VALUES('MxcETS5H0HMJWDj0','shared@example.com','Ni7TMu1pz7R3sLPD',1795514224,'127.0.0.1',NULL,NULL,NULL,NULL);
INSERT INTO accounts VALUES('mZhWXl6IHjgp2kPV','robot@example.com','3d5yBEr0c-uzWsvD',1795514224,'127.0.0.1',NULL,NULL,NULL,NULL);
INSERT INTO accounts VALUES('1DGCckKleGFim7ad','@corp.example','XabrFyM90D_JJ0sX',1795514224,'127.0.0.1',NULL,NULL,NULL,NULL);
INSERT INTO accounts VALUES('UQiLpty-gAqqfmDP','@service.example','U6MNVqs1izZPLkvU',1795514224,'127.0.0.1',NULL,NULL,NULL,NULL);
INSERT INTO accounts VALUES('4ixzbYf_q_2IT4_i','@gone.example','Mc0-cxQl1B6dqOk1',NULL,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE login_names (
    folded TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    account_id TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
INSERT INTO login_names VALUES('@corp.example','@corp.example','1DGCckKleGFim7ad');
INSERT INTO login_names VALUES('@gone.example','@gone.example','4ixzbYf_q_2IT4_i');
INSERT INTO login_names VALUES('@service.example','@service.example','UQiLpty-gAqqfmDP');
INSERT INTO login_names VALUES('alice@example.com','alice@example.com','Q-BM6hg1ab-XOx6E');
INSERT INTO login_names VALUES('carol@example.com','carol@example.com','YUB57xCg5VCgme4W');
INSERT INTO login_names VALUES('corp\alice','CORP\alice','Q-BM6hg1ab-XOx6E');
INSERT INTO login_names VALUES('dave@example.com','dave@example.com','OkCdVWo9vwAhcorO');
INSERT INTO login_names VALUES('erin@example.com','erin@example.com','wZrpycOcuk3f4mHg');
INSERT INTO login_names VALUES('frank@example.com','frank@example.com','tIDzYRgnaoIlrJXd');
INSERT INTO login_names VALUES('grace@example.com','grace@example.com','pM-4I1usT_PPYadX');
INSERT INTO login_names VALUES('heidi@example.com','heidi@example.com','z6R-cbJTIzWnhEDO');
INSERT INTO login_names VALUES('ivan@example.com','ivan@example.com','-bWv3wftuGYJnW-I');
INSERT INTO login_names VALUES('kevin@example.com','kevin@example.com','cDrwDcah5FwlZTI7');
INSERT INTO login_names VALUES('robot@example.com','robot@example.com','mZhWXl6IHjgp2kPV');
INSERT INTO login_names VALUES('shared@example.com','shared@example.com','MxcETS5H0HMJWDj0');
CREATE TABLE passwords (
    id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    generated BLOB,
    chosen TEXT,
    created_at INTEGER NOT NULL,
    last_used_at INTEGER,
    last_used_from TEXT,
    UNIQUE (account_id, name),
    CHECK ((generated IS NULL) <> (chosen IS NULL))
) STRICT;
INSERT INTO passwords VALUES('4V8dOiK6gcoLKo1h','Q-BM6hg1ab-XOx6E','default',X'ecb958b3494ca083cc8a8a2c9ca698415f8eb8a9f70e26b4f54daed12c790026',NULL,1795514219,1795514224,'127.0.0.1');
INSERT INTO passwords VALUES('69PNBDZLy9MfKhHx','YUB57xCg5VCgme4W','default',X'912aad15c8c0c6fa315088d097a0fd8b6c3a9f746e16971d1dab6090043f7559',NULL,1795514219,NULL,NULL);
INSERT INTO passwords VALUES('nTf3_sGq2x6fT8UQ','OkCdVWo9vwAhcorO','default',X'8c6f364209ca858b52b1d04b60b75241f9229fd074c67808eb41c43eea20ffbe',NULL,1795514219,NULL,NULL);
INSERT INTO passwords VALUES('PKBLUz1A9KloOStL','wZrpycOcuk3f4mHg','default',X'd77cf43fe1c3860da97897ee731497ba5f778567e63247297b573815e1e5e544',NULL,1795514219,1795514224,'127.0.0.1');
INSERT INTO passwords VALUES('XIK2GDVhllxyu6Gz','tIDzYRgnaoIlrJXd','default',X'9136c4f5e2796661098701ae5bab7e2346e3a7480285056fab796b304b2306f5',NULL,1795514219,1795514225,'127.0.0.1');
INSERT INTO passwords VALUES('XWKtaY4m6FKKMdpG','pM-4I1usT_PPYadX','default',X'15d986552c9bb0badba4815dcfb67d443297b8e2ef1582ec8cb286c2bae9a711',NULL,1795514220,NULL,NULL);
INSERT INTO passwords VALUES('J8arSdISsTJBQGS-','z6R-cbJTIzWnhEDO','default',X'c8e010d7564d0618a3ccc35bf0ca09d4b57ddccc8c04c73e565931b0656f1cda',NULL,1795514220,NULL,NULL);
INSERT INTO passwords VALUES('xnICDMbBuBepYEgA','-bWv3wftuGYJnW-I','default',X'e7caa99dd4d7ec5a70314c6d2417679f6e53079c849039ba495c083d570c8452',NULL,1795514220,NULL,NULL);
INSERT INTO passwords VALUES('-diNU2V3khLNrITp','cDrwDcah5FwlZTI7','default',X'7dec7576df8d9f9f9b119ed21a7ab34005d99079118d88f7f19e2676cbc7d0d3',NULL,1795514220,1795514229,'127.0.0.1');
INSERT INTO passwords VALUES('pN3zMy9Mq10vxXR7','MxcETS5H0HMJWDj0','default',X'2d800c8d901233b2be52bdf276339d9df87a8c02f4d26bcde882c4cea616be6a',NULL,1795514221,1795514224,'127.0.0.1');
INSERT INTO passwords VALUES('iL-2pk2jPf9yN5Rt','mZhWXl6IHjgp2kPV','default',X'0a32a5bc5ba374d455e5de5dbbc79487762adc39c75d529cb6f8da7162adbe4b',NULL,1795514221,1795514224,'127.0.0.1');
INSERT INTO passwords VALUES('kwh4U4Q-qhmmhD7J','1DGCckKleGFim7ad','default',X'0b3032c27bdc61c39c68bfb7c45dba495f4f8388f33c62a134391e5fff915893',NULL,1795514221,1795514224,'127.0.0.1');
INSERT INTO passwords VALUES('G-mWwfc-gmd6PnZo','UQiLpty-gAqqfmDP','default',X'802db4dff2733732c44989e45ee03fbaad7085d538991a8a0838dcdd5430c67d',NULL,1795514221,1795514224,'127.0.0.1');
INSERT INTO passwords VALUES('yEc7KJ7EOn6D2mvv','4ixzbYf_q_2IT4_i','default',X'208bd879785eecb156546b652d9fb37e5c082305fafbddc814890eec6504d5c7',NULL,1795514222,NULL,NULL);
INSERT INTO passwords VALUES('I47JRClCBNfry3ZK','Q-BM6hg1ab-XOx6E','phone',NULL,'$argon2id$v=19$m=19456,t=2,p=1$k6lN+r8jxs6p/q83PpUuxg$Hi7EmGylcRjB34akF2U2eJ2wILLIfYfZsMoepeyCHX8',1795514222,1795514224,'127.0.0.1');
CREATE TABLE settings (
    key TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO settings VALUES('password_hash_key',X'010000000169564fb5a677b0cbd65dad501de38faec360757f647d8b5b098486a577eff25114c1cf360174b22beb30f04c610ca820d23ef95c5999ce8bb1e904ff33ef5b944431332017467040');
INSERT INTO settings VALUES('transfer_key',X'010000000139d588c4068fac9329fb3317858b34425f8e6c931f50b85776bd9e0d1c0643ec58af3482fbadae248626de89d62d4d95dedd94257f54c8443d2f3ddc5957b7be540ad59d6d7264ad');
CREATE TABLE left_behind (
    key TEXT PRIMARY KEY,
    sealed BLOB NOT NULL,
    until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX accounts_of_grant ON accounts (grant_id);
CREATE INDEX login_names_of_account ON login_names (account_id);
COMMIT;
