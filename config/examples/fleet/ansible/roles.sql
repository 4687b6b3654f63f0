-- Run once by a superuser, before `otp-verifier init`, and before commits wait for a standby: runuser -u postgres -- psql < roles.sql
-- Then give both a way to log in: ALTER ROLE … PASSWORD, or a certificate in pg_hba.conf.
CREATE ROLE otp_owner LOGIN;
CREATE ROLE otp_verifier LOGIN;
CREATE DATABASE otp OWNER otp_owner ENCODING 'UTF8' TEMPLATE template0;
REVOKE ALL ON DATABASE otp FROM PUBLIC;
GRANT CONNECT ON DATABASE otp TO otp_verifier;
